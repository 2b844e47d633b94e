// What the editor of rules needs in the browser beside CodeMirror: marks that are set only on the text
// they were made for, and never send the text back over what is being typed; a way to a line; a name.
({
  view(id) {
    return getElement(id)?.editor;
  },
  // `length`: of the text that was checked. `notes`: line -> what its tooltip says, as text.
  mark(id, length, marks, notes) {
    const editor = this.view(id);
    if (!editor || editor.state.doc.length !== length) return;
    const element = getElement(id);
    element.setDecorations(marks);
    element.setLineTooltips(notes);
  },
  go(id, number, column) {
    const editor = this.view(id);
    if (!editor) return;
    const line = editor.state.doc.line(Math.min(Math.max(number, 1), editor.state.doc.lines));
    const before = Array.from(line.text).slice(0, Math.max(column - 1, 0)).join("").length;
    getElement(id).revealLine(line.number);
    editor.dispatch({ selection: { anchor: line.from + before } });
    editor.focus();
  },
  // The content is what is focused, so it carries the name and the words on how to leave it.
  async name(id, label, describedBy, theme) {
    for (let tries = 0; tries < 100 && !this.view(id); tries += 1) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    const editor = this.view(id);
    if (!editor) return;
    // As the page looks, and goes on to look: the system may change from day to night meanwhile.
    const follow = () => {
      const dark = document.body.classList.contains("body--dark");
      getElement(id)?.setTheme(dark ? theme.dark : theme.light);
    };
    new MutationObserver(follow).observe(document.body, { attributeFilter: ["class"] });
    follow();
    editor.contentDOM.setAttribute("aria-label", label);
    editor.contentDOM.setAttribute("aria-describedby", describedBy);
    // Who may not type scrolls with the keys all the same.
    editor.contentDOM.tabIndex = 0;
  },
  // A page with changes that are not saved asks before it is left.
  guard(changed) {
    window.onbeforeunload = changed ? (event) => event.preventDefault() : null;
  },
})
