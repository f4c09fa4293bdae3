"""A prompt for ClickHouse: client.py PORT, the login in CLICKHOUSE_USER and CLICKHOUSE_PASSWORD."""

import os
import sys

import clickhouse_connect
from clickhouse_connect.driver.exceptions import ClickHouseError
from prompt_toolkit import PromptSession

client = clickhouse_connect.get_client(
    host="127.0.0.1",
    port=int(sys.argv[1]),
    username=os.environ["CLICKHOUSE_USER"],
    password=os.environ["CLICKHOUSE_PASSWORD"],
)
print(f"ClickHouse {client.server_version}; a statement a line, `exit` or Ctrl-D to leave")
client.headers["X-ClickHouse-Format"] = "PrettyCompactMonoBlock"
session = PromptSession("> ")
while True:
    try:
        statement = session.prompt().strip().rstrip(";")
    except KeyboardInterrupt:
        continue
    except EOFError:
        break
    if statement in ("exit", "quit"):
        break
    if not statement:
        continue
    try:
        print(client.raw_query(statement).decode(errors="replace"), end="")
    except ClickHouseError as error:
        print(error)
