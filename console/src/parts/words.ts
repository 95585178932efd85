/** Words of a command line, split and quoted as a shell does it. Nothing is expanded: `$`, `*` and `~` are letters. */

export interface Words {
  /** Empty with a fault. */
  readonly words: readonly string[];
  /** A quote or a backslash is left open. */
  readonly fault: string | undefined;
}

/** Splits a text at its spaces, apart from those in quotes or behind a backslash. The client has the same rules. */
export function splitWords(text: string): Words {
  const words: string[] = [];
  const failed = (fault: string): Words => ({ words: [], fault });
  // Absent between words: quotes alone are an empty one.
  let word: string | undefined;
  let at = 0;
  while (at < text.length) {
    const letter = text.charAt(at);
    at += 1;
    if (/[ \t\n]/.test(letter)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else if (letter === "'") {
      const end = text.indexOf("'", at);
      if (end < 0) return failed('a single quote is not closed');
      word = (word ?? '') + text.slice(at, end);
      at = end + 1;
    } else if (letter === '"') {
      const [, inside] = /^((?:[^"\\]|\\[^])*)"/.exec(text.slice(at)) ?? [];
      if (inside === undefined) return failed('a double quote is not closed');
      word = (word ?? '') + inside.replace(/\\([^])/g, unescaped);
      at += inside.length + 1;
    } else if (letter === '\\') {
      if (at === text.length) return failed('a backslash at the end escapes nothing');
      // Before the end of a line: the line goes on.
      if (text.charAt(at) !== '\n') word = (word ?? '') + text.charAt(at);
      at += 1;
    } else {
      word = (word ?? '') + letter;
    }
  }
  if (word !== undefined) words.push(word);
  return { words, fault: undefined };
}

/** In double quotes: a backslash escapes what would mean something, and joins lines. */
function unescaped(whole: string, letter: string): string {
  if (letter === '\n') return '';
  return /["\\$`]/.test(letter) ? letter : whole;
}

/** A text that is split into these words. */
export function joinWords(words: readonly string[]): string {
  return words.map(quoted).join(' ');
}

function quoted(word: string): string {
  return /^[\w@%+=:,./{}-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
