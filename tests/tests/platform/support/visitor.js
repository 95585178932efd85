// Finds what a page shows as people name it: by its kind, and by the name that a screen reader says. Gives places to
// click at, and keeps what the page's policy forbade and what nobody caught.
(() => {
  const CONTROLS = {
    button: 'button:not([role=tab]), [role=button], summary',
    link: 'a[href]',
    tab: '[role=tab]',
    field: 'input, textarea, select, [contenteditable=true]',
    row: 'tbody tr',
  };
  const faults = [];
  let clicked = false;
  addEventListener('securitypolicyviolation', ({ violatedDirective, blockedURI, sourceFile, lineNumber }) => {
    faults.push(`${violatedDirective} forbids ${blockedURI} (${sourceFile}:${lineNumber})`);
  });
  addEventListener('error', ({ message }) => faults.push(message));
  addEventListener('unhandledrejection', ({ reason }) => faults.push(String(reason)));

  const plain = (text) => (text ?? '').replace(/\s+/g, ' ').trim();

  /** Elements that a selector fits, those in shadow trees as well. */
  const all = (selector, root = document) => [...root.querySelectorAll('*')].flatMap((element) => [
    ...(element.matches(selector) ? [element] : []),
    ...(element.shadowRoot === null ? [] : all(selector, element.shadowRoot)),
  ]);

  const isShown = (element) => element.checkVisibility({ visibilityProperty: true });

  /** All text that is shown, that of editors as well. */
  const text = () => plain([
    document.body.innerText,
    ...all('select').filter(isShown).map(({ selectedOptions: [option] }) => option?.text),
    ...all('.cm-content').filter(isShown).map((editor) => editor.innerText),
    ...all('.cm-fault-text').map((fault) => fault.textContent),
  ].join('\n'));

  const nameOf = (element) => {
    const by = element.getAttribute('aria-labelledby');
    const labels = [...(element.labels ?? [])].map((label) => label.innerText).join(' ');
    return plain(
      element.getAttribute('aria-label') ?? (by && document.getElementById(by)?.innerText)
        ?? (labels !== '' ? labels : element.innerText !== '' ? element.innerText : element.title),
    );
  };

  const dialog = () => all('dialog[open]').at(-1);

  /** Where to look: what is in a dialog if one is open; within the section, row or dialog that has this text. */
  const isWithin = (element, within) => {
    const open = dialog();
    const host = element.getRootNode().host ?? element;
    if (open !== undefined && !open.contains(host)) return false;
    if (within === null) return true;
    const around = host.closest('section, tr, fieldset, li');
    if (around === null) return false;
    return around.matches('section') ? plain(around.querySelector('h2')?.innerText) === within
      : plain(around.innerText).includes(within);
  };

  const find = (kind, name, within) => all(CONTROLS[kind]).find((element) => {
    const fits = kind === 'row' ? plain(element.innerText).includes(name) : nameOf(element) === name;
    return fits && isShown(element) && isWithin(element, within);
  });

  const deepest = (x, y) => {
    let found = document.elementFromPoint(x, y);
    while (found?.shadowRoot?.elementFromPoint(x, y)) {
      const inner = found.shadowRoot.elementFromPoint(x, y);
      if (inner === found) break;
      found = inner;
    }
    return found;
  };

  /** A place at which a click reaches the element; nothing while there is none. */
  const place = (kind, name, within) => {
    const element = find(kind, name, within);
    if (element === undefined || element.disabled || element.ariaBusy === 'true') return null;
    // A row is clicked in its link.
    const target = kind === 'row' ? element.querySelector('a') : element;
    target.scrollIntoView({ block: 'center', inline: 'nearest', behavior: 'instant' });
    const [box] = target.getClientRects();
    if (box === undefined) return null;
    const [x, y] = [Math.round(box.x + box.width / 2), Math.round(box.y + Math.min(box.height / 2, 30))];
    const hit = deepest(x, y);
    if (hit === null || !(target.contains(hit) || target.getRootNode().contains(hit) && kind === 'field')) return null;
    clicked = false;
    target.addEventListener('click', () => { clicked = true; }, { once: true, capture: true });
    return [x, y];
  };

  /** Selects all that a field has, or says that keys have to do it. */
  const selectAll = (name, within) => {
    const element = find('field', name, within);
    if (element === undefined) return 'gone';
    if (!('value' in element)) return 'keys';
    element.focus();
    element.select();
    return 'done';
  };

  const valueOf = (name, within) => {
    const element = find('field', name, within);
    if (element === undefined) return null;
    return 'value' in element ? element.value : [...element.querySelectorAll('.cm-line')].map((line) => line.innerText).join('\n');
  };

  const choose = (name, option, within) => {
    const element = find('field', name, within);
    const chosen = [...(element?.options ?? [])].find((one) => plain(one.text) === option && !one.disabled);
    if (chosen === undefined || element.disabled) return false;
    element.value = chosen.value;
    element.dispatchEvent(new Event('input', { bubbles: true }));
    element.dispatchEvent(new Event('change', { bubbles: true }));
    return true;
  };

  globalThis.visitor = {
    text, place, selectAll, valueOf, choose,
    wasClicked: () => clicked,
    isThere: (kind, name, within) => find(kind, name, within) !== undefined,
    isOn: (name) => find('field', name, null)?.checked ?? null,
    names: (kind) => all(CONTROLS[kind]).filter(isShown).map(nameOf),
    faults: () => faults.splice(0),
  };
})()
