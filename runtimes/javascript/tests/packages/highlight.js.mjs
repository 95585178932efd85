import highlight from 'highlight.js/lib/common';

const SAMPLES = {
  javascript: 'class A extends B { /** doc */ get x() { return `a${this.#b ?? 1e3}`; } } // end',
  python: 'def f(x: int = 0x1F) -> str:\n    """doc"""\n    return f"{x!r:>10}" if x else None',
  rust: "fn main<'a>(x: &'a str) -> Result<(), Box<dyn Error>> { println!(\"{x}\"); Ok(()) }",
  sql: "SELECT COUNT(*) AS n FROM t WHERE a LIKE '%x''y' -- c\nGROUP BY 1;",
  json: '{"a": [1.5e3, true, null], "b": "\\u00e9"}',
  xml: '<!doctype html><a href="x&amp;y">t</a><script>let a = 1</script>',
  bash: 'for f in *.txt; do echo "${f%.txt}" | grep -v \'x\'; done',
};

export default () => ({
  marked: Object.entries(SAMPLES).map(([language, code]) => highlight.highlight(code, { language }).value),
  guessed: [SAMPLES.python, SAMPLES.sql].map((code) => {
    const { language, relevance, secondBest } = highlight.highlightAuto(code, ['python', 'sql', 'rust', 'javascript']);
    return [language, relevance, secondBest?.language];
  }),
  languages: highlight.listLanguages(),
  alias: highlight.getLanguage('js').name,
});
