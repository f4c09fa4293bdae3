each create_remote "$(date -u +%Y-%m-%dt%H-%M-%S)" $HOSTS
