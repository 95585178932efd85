"""Rehearses Python's library at deploy. CPython notes in its code what types it has met, and runs it faster
from then on (PEP 659). An invocation would learn that anew each time, and write a page wherever it does.

A module is rehearsed when it has just been imported, so nobody can have changed anything in it."""

import _collections_abc
import _contextvars as contextvars

import _serverledge

# After so many the interpreter has learnt it.
ROUNDS = 4
# Classes, which functions make at deploy.
MADE = {"dataclass": None, "enum": None}
# Abstract base classes.
KINDS = {getattr(_collections_abc, name) for name in _collections_abc.__all__}


def rehearse(module):
    if not _serverledge.invoked():
        repeat(lambda: REHEARSED[module.__name__](module), ROUNDS)


def repeat(part, rounds):
    """Does it until the interpreter has learnt it. A function that has changed what is used there goes without."""
    try:
        for _ in range(rounds):
            part()
    except Exception:
        pass


def numbers(numbers):
    KINDS.update(getattr(numbers, name) for name in numbers.__all__)


def know_kinds():
    """The answers of abstract base classes, which they keep until another class is registered somewhere (PEP 3119)."""
    for kind in KINDS:
        for value in {}, [], (), "", b"", 0, 0.5, None, set(), iter(()):
            try:
                isinstance(value, kind)
            except Exception:
                # A class of the function's own answers as it likes.
                pass


# === data ===


def json(json):
    value = {"name": "text", "list": [1, 2.5, None, True], "inner": {"key": "ä"}}
    json.loads(json.dumps(value))
    json.loads(json.dumps(value).encode())
    json.dumps(value, sort_keys=True, separators=(",", ":"))
    json.dumps(value, ensure_ascii=False, default=str)
    json.dumps(value, indent=2)


def csv(csv):
    import io
    file = io.StringIO()
    writer = csv.DictWriter(file, ["name", "count"])
    writer.writeheader()
    writer.writerow({"name": "a", "count": 1})
    writer.writerows([{"name": "b", "count": 2}])
    file.seek(0)
    list(csv.DictReader(file))


def base64(base64):
    base64.b64decode(base64.b64encode(b"some bytes"))
    base64.urlsafe_b64decode(base64.urlsafe_b64encode(b"some bytes"))


def hmac(hmac):
    for digest in "sha256", "sha1":
        one = hmac.new(b"key", b"text", digest)
        one.update(b"more")
        one.hexdigest()
        one.digest()


def hashlib(hashlib):
    for name in "md5", "sha1", "sha256", "sha512":
        getattr(hashlib, name)(b"text").hexdigest()
        hashlib.new(name, b"text").digest()


def uuid(uuid):
    str(uuid.UUID(str(uuid.uuid4()))) + uuid.uuid4().hex


def secrets(secrets):
    secrets.token_hex(8) + secrets.token_urlsafe(8) + secrets.choice("ab")
    secrets.token_bytes(8)
    secrets.randbelow(10)


def copy(copy):
    value = {"list": [1, (2, "three")], "inner": {"key": None}}
    copy.deepcopy(value)
    copy.copy(value)


def dataclasses(dataclasses):
    if not MADE["dataclass"]:
        field = dataclasses.field
        fields = [("name", str, field(default="a")), ("items", list, field(default_factory=list))]
        MADE["dataclass"] = dataclasses.make_dataclass("Rehearsed", fields)
    one = MADE["dataclass"]()
    dataclasses.asdict(one)
    dataclasses.astuple(one)
    dataclasses.replace(one, name="b")
    dataclasses.fields(one)


def enum(enum):
    if not MADE["enum"]:
        MADE["enum"] = enum.Enum("Colour", ["RED", "BLUE"])
    colours = MADE["enum"]
    colours(1).name, colours["BLUE"].name, colours.RED.value, colours.BLUE is colours.RED, list(colours)


def element_tree(tree):
    root = tree.fromstring('<list kind="a"><item n="1">text</item><item n="2"/></list>')
    for item in root.findall("item"):
        item.get("n"), item.text
    root.find("./item[@n='2']")
    child = tree.SubElement(root, "item", {"n": "3"})
    child.text = "more"
    tree.tostring(root)
    tree.tostring(root, "unicode")


# === texts ===


def re(re):
    caches = re._cache.copy(), re._cache2.copy()
    word = re.compile(r"(?P<first>[a-z]+)(?:-(\d{1,3}))?[^\s,;.]*|x(?=y)", re.IGNORECASE)
    word.sub(lambda match: match.group(1).upper() if match.group(1) else "", "some words-12 here")
    for text in "words-12", "+":
        re.match(r"[a-z]+", text), re.search(r"\d+", text), re.fullmatch(r"\w+", text)
        re.findall(r"[a-z]", text), re.split(r"[,;]\s*", text), re.sub(r"\d", "#", text), re.escape(text)
        re.sub(r"(\w)", r"<\1>", text)
        list(re.finditer("d", text))
    re._cache.clear(), re._cache.update(caches[0])
    re._cache2.clear(), re._cache2.update(caches[1])


def string(string):
    string.Template("$name and ${other}").substitute(name="a", other=1)
    string.Template("$name").safe_substitute({})
    string.Formatter().format("{} {name:>5}", 1, name="a")
    string.capwords("some words")


def textwrap(textwrap):
    textwrap.fill("some words that are a little longer than the line", 20)
    textwrap.shorten("some words that are a little longer than the line", 20)
    textwrap.dedent("\n    a\n      b\n")
    textwrap.indent("a\nb\n", "  ")


def html(html):
    html.unescape(html.escape("<a href='b'>&</a>"))


def difflib(difflib):
    difflib.SequenceMatcher(None, "some words", "other words").ratio()
    difflib.get_close_matches("word", ["words", "lord"])
    list(difflib.unified_diff(["a\n", "b\n"], ["a\n", "c\n"]))


def parse(parse):
    for url in "https://user@example.com:8080/a/b?x=1&y=2#end", "/path?q=a%20b":
        parts = parse.urlsplit(url)
        parts.geturl(), parts.hostname, parts.port, parts.username
        parse.urlunparse(parse.urlparse(url))
        parse.parse_qs(parts.query), parse.parse_qsl(parts.query)
        parse.urljoin(url, "../c")
    parse.urlencode({"name": "a b", "list": [1, 2]}, doseq=True) + parse.urlencode({"name": "ä"})
    parse.unquote(parse.quote("a b/ä")) + parse.unquote_plus(parse.quote_plus("a b/ä"))
    parse.clear_cache()


# === numbers and time ===


def fractions(fractions):
    third = fractions.Fraction(1, 3)
    str(third + fractions.Fraction("0.5") * 2 - third / 4), float(third), third < 1, third == third, round(third, 1)


def statistics(statistics):
    for values in [1, 2, 3, 4, 10], [1.5, 2.5, 2.5]:
        statistics.mean(values), statistics.median(values), statistics.stdev(values), statistics.pstdev(values)
        statistics.fmean(values), statistics.mode(values), statistics.quantiles(values)


def random(random):
    one = random.Random(1)
    values = [1, 2, 3, 4, 5]
    one.choice(values), one.randint(1, 6), one.randrange(5), one.uniform(0, 1), one.gauss(0, 1)
    one.choices(values, k=2)
    one.sample(values, 2), one.shuffle(values)


def strptime(strptime):
    strptime._strptime("2020-02-03 04:05:06", "%Y-%m-%d %H:%M:%S")
    strptime._strptime("2020-02-03T04:05:06+0000", "%Y-%m-%dT%H:%M:%S%z")
    strptime._strptime("03/02/20", "%d/%m/%y")


def datetime(datetime):
    zone = datetime.timezone(datetime.timedelta(hours=1))
    now = datetime.datetime.fromisoformat("2020-02-03T04:05:06+00:00")
    later = now.astimezone(zone) + datetime.timedelta(days=1, seconds=2)
    later.isoformat(), later.strftime("%Y-%m-%d %H:%M"), (later - now).total_seconds(), later > now
    later.replace(hour=1), str(later)
    datetime.datetime.now(datetime.UTC), datetime.datetime.fromtimestamp(0)
    datetime.datetime.combine(later.date(), later.time())
    day = datetime.date.fromisoformat("2020-02-03") + datetime.timedelta(days=1)
    day.isoformat(), day.weekday(), day.year, day == later.date(), f"{day:%d.%m.%Y}", datetime.date.today()


def decimal(decimal):
    # Whatever has a context of its own then is this call's.
    contextvars.copy_context().run(calculate, decimal)


def calculate(decimal):
    number = decimal.Decimal("1.10")
    total = sum([number, decimal.Decimal(2)], decimal.Decimal(0)) * 3 / decimal.Decimal("0.7")
    str(total), f"{total:.2f}", total.quantize(decimal.Decimal("0.01"), decimal.ROUND_HALF_UP), total > 1
    int(total), round(total, 2)


def calendar(calendar):
    calendar.monthrange(2020, 2), calendar.isleap(2020), calendar.timegm((2020, 2, 3, 4, 5, 6))
    calendar.weekday(2020, 2, 3)
    calendar.monthcalendar(2020, 2)


def ipaddress(ipaddress):
    for text, network in ("10.1.2.3", "10.0.0.0/8"), ("fd00::1", "fd00::/8"):
        address = ipaddress.ip_address(text)
        str(address), address in ipaddress.ip_network(network), address.is_private


# === collections and functions ===


def collections(collections):
    counts = collections.Counter("some words")
    counts.update(["a", "b", "a"]), counts["a"], counts["nothing"]
    counts.most_common(2), counts.most_common(), counts.total(), counts + collections.Counter("a")
    list(counts.elements())
    chain = collections.ChainMap({"a": 1}, {"b": 2})
    chain["b"], chain.get("c"), "a" in chain, list(chain)


def heapq(heapq):
    heapq.nlargest(2, [1, 3, 2]), heapq.nsmallest(2, [1, 3, 2]), heapq.nlargest(2, ["b", "a", "c"], key=len)
    heapq.nlargest(1, [1, 2]), list(heapq.merge([1, 3], [2]))


def contextlib(contextlib):
    @contextlib.contextmanager
    def manager():
        yield 1

    with manager(), contextlib.suppress(KeyError), contextlib.nullcontext(), contextlib.ExitStack() as stack:
        stack.enter_context(manager())
        stack.callback(int)
        raise KeyError


def pathlib(pathlib):
    path = pathlib.PurePosixPath("/a/b") / "c.txt"
    str(path), path.name, path.stem, path.suffix, path.parent, path.parts, path.with_suffix(".md")
    path.relative_to("/a")
    path == pathlib.PurePosixPath("/a"), path.joinpath("d")


def posixpath(posixpath):
    posixpath.join("/a", "b", "c.txt"), posixpath.basename("/a/b"), posixpath.dirname("/a/b")
    posixpath.splitext("c.txt")
    posixpath.split("/a/b"), posixpath.normpath("/a/../b"), posixpath.relpath("/a/b", "/a"), posixpath.abspath("/a")


def logging(logging):
    import io
    logger = logging.Logger("rehearsed")
    handler = logging.StreamHandler(io.StringIO())
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logger.addHandler(handler)
    logger.debug("not %s", "told"), logger.info("a %s", 1), logger.warning("text %d", 2), logger.error("text")
    logger.isEnabledFor(logging.INFO)
    handler.setFormatter(logging.Formatter(logging.BASIC_FORMAT))
    logger.info("text")
    logger.removeHandler(handler)
    handler.close()


REHEARSED = {
    "_strptime": strptime, "base64": base64, "calendar": calendar, "collections": collections, "contextlib": contextlib,
    "copy": copy, "csv": csv, "dataclasses": dataclasses, "datetime": datetime, "decimal": decimal, "difflib": difflib,
    "enum": enum, "fractions": fractions, "hashlib": hashlib, "heapq": heapq, "hmac": hmac, "html": html,
    "ipaddress": ipaddress, "json": json, "logging": logging, "numbers": numbers, "pathlib": pathlib,
    "posixpath": posixpath, "random": random, "re": re, "secrets": secrets, "statistics": statistics, "string": string,
    "textwrap": textwrap, "urllib.parse": parse, "uuid": uuid, "xml.etree.ElementTree": element_tree}
