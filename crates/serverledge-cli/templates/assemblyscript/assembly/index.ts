// The function: parameters as JSON on stdin, the result as JSON on stdout, the log on stderr.
//
// One member, a string, is found without a parser of JSON. For more, add a package such as json-as.

/** All of stdin. */
function input(): string {
  const buffer = new ArrayBuffer(4096);
  const bytes = new Array<u8>();
  while (true) {
    const count = process.stdin.read(buffer);
    if (count <= 0) break;
    const view = Uint8Array.wrap(buffer, 0, <i32>count);
    for (let i = 0; i < view.length; i++) bytes.push(view[i]);
  }
  return String.UTF8.decodeUnsafe(bytes.dataStart, bytes.length);
}

/** The text of a member as it stands between its quotes, still escaped; the other text if there is no such string. */
function member(json: string, name: string, other: string): string {
  let at = json.indexOf('"' + name + '"');
  if (at < 0) return other;
  at = json.indexOf(":", at + name.length + 2);
  if (at < 0) return other;
  at = json.indexOf('"', at);
  if (at < 0) return other;
  let end = at + 1;
  while (end < json.length && json.charAt(end) != '"') end += json.charAt(end) == "\\" ? 2 : 1;
  return json.substring(at + 1, end);
}

const name = member(input(), "name", "world");
process.stderr.write("greeting " + name + "\n");
process.stdout.write('{"message":"Hello, ' + name + '!"}\n');
