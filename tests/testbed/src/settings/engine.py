"""Starts a ClickHouse engine in this process, again and again: engine.py FOLDER-OF-_chdb. Each line of input is a question in JSON, each of output its answer.

{"files": {"config.d/x.xml": XML}, "ask": [SQL]}  starts with these files of configuration: {"took": bool, "answers": [text], "reason": text}
{"catalogue": true}                               what the engine says of its settings
"""
import json, os, pathlib, re, shutil, sys, tempfile

sys.path.insert(0, sys.argv[1])
import _chdb

home = pathlib.Path(tempfile.mkdtemp(prefix="clickhouse-settings-"))
answers_to = os.fdopen(os.dup(1), "w")
# What the engine prints of an error is the only place where some of its reasons stand.
said = os.open(home / "said", os.O_RDWR | os.O_CREAT)
os.dup2(said, 1)
os.dup2(said, 2)

# With a pool as a server has it.
CONFIG = "<clickhouse><logger><level>none</level><console>0</console></logger><users_config>{0}/users.xml</users_config><path>{0}/data/</path><background_pool_size>16</background_pool_size></clickhouse>"
# As in the server's image.
USERS = "<clickhouse><profiles><default/><readonly><readonly>1</readonly></readonly></profiles><quotas><default/></quotas><users><default><password/><networks><ip>::/0</ip></networks><profile>default</profile><quota>default</quota></default></users></clickhouse>"
# The engine's own session logs in as `default`, without a password; what the logger would write is not wanted, and `compression` is an option of a client.
LAST = {
    "users.d/zz-testbed.xml": '<clickhouse><users><default><password remove="1"/><password_sha256_hex remove="1"/><no_password/><networks replace="1"><ip>::/0</ip></networks></default></users></clickhouse>',
    "config.d/zz-testbed.xml": '<clickhouse><compression remove="1"/><logger replace="1"><level>none</level><console>0</console></logger></clickhouse>',
}
BASIC = {"Bool", "BoolAuto", "Char", "Double", "Float", "FloatAuto", "Int32", "Int64", "Map", "MaxThreads", "Milliseconds", "NonZeroUInt64", "Seconds", "String", "Timezone", "UInt32", "UInt64", "UInt64Auto", "URI"}
TABLES = {"query": "settings", "server": "server_settings", "merge_tree": "merge_tree_settings"}
UNTOLD = "~"
# Words that the engine does not tell.
CACHE_POLICIES = ["", "LRU", "SLRU"]


def start(files={}, ask=()):
    for folder in ("data", "config.d", "users.d", "conf.d"):
        shutil.rmtree(home / folder, ignore_errors=True)
    for name, text in {"config.xml": CONFIG.format(home), "users.xml": USERS, **files, **(LAST if files else {})}.items():
        (home / name).parent.mkdir(exist_ok=True)
        (home / name).write_text(text)
    os.ftruncate(said, 0)
    os.lseek(said, 0, 0)
    connection, answers = None, []
    try:
        connection = _chdb.connect(f"file:{home}/data?config-file={home}/config.xml")
        for question in ask:
            result = connection.query(question, "TSVRaw")
            if result.has_error():
                raise RuntimeError(result.error_message())
            answers.append(result.bytes().decode() if result.size() else "")
        return {"took": True, "answers": answers, "reason": ""}
    except RuntimeError as error:
        told = os.pread(said, 4000, 0).decode(errors="replace").strip()
        return {"took": False, "answers": answers, "reason": (told if told.startswith("Code:") else str(error))[:1000]}
    finally:
        if connection:
            connection.close()


def place(kind, name, value):
    """A start that gives one setting a value."""
    if kind == "query":
        return {"files": {"users.d/x.xml": f"<clickhouse><profiles><tried><{name}>{value}</{name}></tried></profiles></clickhouse>"}}
    if kind == "merge_tree":
        text = f"<clickhouse><merge_tree><{name}>{value}</{name}></merge_tree></clickhouse>"
        return {"files": {"config.d/x.xml": text}, "ask": ["SELECT count() FROM system.merge_tree_settings"]}
    path = name.split(".")
    text = "".join(f"<{part}>" for part in path) + value + "".join(f"</{part}>" for part in reversed(path))
    return {"files": {"config.d/x.xml": f"<clickhouse>{text}</clickhouse>"}}


def catalogue():
    columns = {"query": "name, type, is_obsolete, tier", "server": "name, type, is_obsolete, ''", "merge_tree": "name, type, is_obsolete, tier"}
    ask = ["SELECT version()"] + [f"SELECT {columns[kind]} FROM system.{table} ORDER BY name" for kind, table in TABLES.items()]
    answers = start(ask=ask)["answers"]
    found = {"version": answers[0].strip(), "enums": {}, "lists": [], "kinds": {}}
    for kind, answer in zip(TABLES, answers[1:]):
        rows = [line.split("\t") for line in answer.splitlines()]
        found["kinds"][kind] = [{"name": name, "type": type_, "obsolete": obsolete == "1" or tier == "Obsolete"} for name, type_, obsolete, tier in rows]
        for name, type_ in {row[1]: row[0] for row in rows if row[1] not in BASIC and row[1] not in found["enums"]}.items():
            words = re.search(r"Must be one of \[(.*?)\]", start(**place(kind, type_, UNTOLD))["reason"])
            if words:
                words = sorted(re.findall(r"'((?:[^'\\]|\\.)*)'", words[1]))
                found["enums"][name] = words
                several = sorted(words)[:2]
                if len(several) == 2 and start(**place(kind, type_, ",".join(several)))["took"]:
                    found["lists"].append(name)
        for setting in found["kinds"][kind]:
            if setting["name"].endswith("_cache_policy") and "Unknown cache policy" in start(**place(kind, setting["name"], UNTOLD))["reason"]:
                setting["type"] = "CachePolicy"
                found["enums"]["CachePolicy"] = CACHE_POLICIES
    return found


for line in sys.stdin:
    question = json.loads(line)
    answer = catalogue() if question.get("catalogue") else start(question["files"], question.get("ask", ()))
    answers_to.write(json.dumps(answer) + "\n")
    answers_to.flush()
shutil.rmtree(home, ignore_errors=True)
# The engine's own threads don't let it end otherwise.
os._exit(0)
