/** Completion for bash and zsh, made from the commands themselves. */
import { Argument, type Command } from 'commander';
import type { Act } from '../context.ts';

export function completion(program: Command, act: Act): void {
  act(
    program
      .command('completion')
      .helpGroup('Start:')
      .summary('completion of a shell')
      .description(
        'Completion of a shell: add  source <(postern completion bash)  to ~/.bashrc, or of zsh to ~/.zshrc after compinit.',
      )
      .addArgument(new Argument('<shell>', 'which').choices(['bash', 'zsh'])),
    ({ out }, shell) => out.line(shell === 'bash' ? bashScript(program) : zshScript(program)),
  );
}

/** What may follow each command: its subcommands and options, by its path; the program's is empty. */
export function completionWords(program: Command): Map<string, string[]> {
  const words = new Map<string, string[]>();
  const globals = program.options.flatMap(({ long }) => long ?? []);
  const walk = (command: Command, path: string): void => {
    const options = command.options.flatMap(({ long }) => long ?? []);
    const values = command.registeredArguments.flatMap(({ argChoices }) => argChoices ?? []);
    const below = command.commands.map((one) => one.name());
    words.set(path, [...new Set([...below, ...values, ...options, ...globals, '--help'])]);
    for (const one of command.commands) walk(one, path === '' ? one.name() : `${path} ${one.name()}`);
  };
  walk(program, '');
  return words;
}

/** A `case` of the shell: from a path to its words. */
function cases(program: Command): string {
  return [...completionWords(program)]
    .map(([path, words]) => `    '${path}') words='${words.join(' ')}' ;;`)
    .join('\n');
}

/** Options that take a value: the word behind one is not a command. */
function valued(program: Command): string {
  const found = new Set<string>();
  const walk = (command: Command): void => {
    for (const { long, short, required, optional } of command.options)
      if (required || optional) for (const name of [long, short]) if (name) found.add(name);
    for (const one of command.commands) walk(one);
  };
  walk(program);
  return [...found].join('|');
}

/** The path of the command that stands before the word, as both shells find it. */
const PATH = `  local path='' word candidate skip=0 words=''
  for word in "$@"; do
    if [ "$skip" = 1 ]; then skip=0; continue; fi
    case "$word" in
      VALUED) skip=1 ;;
      -*) ;;
      *) candidate="\${path:+$path }$word"; case "$candidate" in PATHS) path="$candidate" ;; esac ;;
    esac
  done
  case "$path" in
CASES
  esac
  printf '%s' "$words"`;

function finder(program: Command): string {
  const paths = [...completionWords(program).keys()].filter(Boolean).map((path) => `'${path}'`);
  return PATH.replace('VALUED', valued(program))
    .replace('PATHS', paths.join('|'))
    .replace('CASES', cases(program));
}

export function bashScript(program: Command): string {
  return `_postern_words() {
${finder(program)}
}
_postern() {
  COMPREPLY=($(compgen -W "$(_postern_words "\${COMP_WORDS[@]:1:COMP_CWORD-1}")" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _postern postern`;
}

export function zshScript(program: Command): string {
  return `#compdef postern
_postern_words() {
${finder(program)}
}
_postern() {
  compadd -- \${=$(_postern_words "\${(@)words[2,CURRENT-1]}")}
  _files
}
compdef _postern postern`;
}
