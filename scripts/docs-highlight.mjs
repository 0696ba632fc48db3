// Just enough colour for the snippets of the documents: comments, strings, words of the language, numbers, flags.
const SHELL =
  /(?<comment>(?:^|(?<=\s))#.*$)|(?<string>"[^"\n]*"|'[^'\n]*')|(?<word>^\s*(?:\$ )?[a-z][\w.-]*)|(?<flag>(?<=\s)--?[a-z][\w-]*)/gm;
const TOML =
  /(?<comment>#.*$)|(?<string>"[^"\n]*")|(?<word>^\s*\[+[\w.]+\]+)|(?<flag>^\s*\w+(?=\s*=))|(?<number>\b(?:true|false|\d[\d._]*)\b)/gm;
const PYTHON =
  /(?<comment>#.*$)|(?<string>"[^"\n]*"|'[^'\n]*')|(?<word>\b(?:from|import|for|in|if|else|class|def|print|True|False|None|return)\b)|(?<number>\b\d[\d._]*\b)/gm;
const TYPESCRIPT =
  /(?<comment>\/\/.*$|\/\*[\s\S]*?\*\/)|(?<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\.)*`)|(?<word>\b(?:import|from|export|const|let|function|async|await|return|new|for|of|if|throw|try|catch|type|interface|extends|satisfies|as|using|instanceof|typeof|yield|this|true|false|null|undefined)\b)|(?<number>\b\d[\d_.]*n?\b)/gm;
const LANGUAGES = { sh: SHELL, toml: TOML, py: PYTHON, ts: TYPESCRIPT, js: TYPESCRIPT, json: TYPESCRIPT };

/** HTML of a piece of code. */
export function highlight(code, language) {
  const pattern = LANGUAGES[language];
  if (pattern === undefined) return escapeHtml(code);
  let html = "";
  let end = 0;
  for (const match of code.matchAll(pattern)) {
    const kind = Object.keys(match.groups).find((name) => match.groups[name] !== undefined);
    html += `${escapeHtml(code.slice(end, match.index))}<span class="${kind}">${escapeHtml(match[0])}</span>`;
    end = match.index + match[0].length;
  }
  return html + escapeHtml(code.slice(end));
}

export function escapeHtml(text) {
  return text.replace(/[&<>"]/g, (letter) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[letter]);
}
