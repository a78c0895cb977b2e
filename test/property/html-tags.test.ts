/** The tag scanner against the tokenizer of parse5, which follows the HTML standard state by state. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Token, Tokenizer, TokenizerMode } from 'parse5';
import { scanHtml } from '../../lib/tracking/html-tags.ts';
import { seededRandom } from '../support/clock.ts';

interface Tag {
  start?: number;
  name?: string;
  /** A value with a character reference is not compared: the scanner leaves references alone. */
  attributes?: [name: string, start: number, value: string][];
}

const ELEMENTS = new Set(['a', 'area', 'custom-element']);
const ATTRIBUTES = new Set(['href', 'ses:no-track', 'ses:tags']);
/** As the tree construction switches the tokenizer, with scripting off (HTML standard §13.2.6.4). */
const MODES = new Map<string, (typeof TokenizerMode)[keyof typeof TokenizerMode]>([
  ['title', TokenizerMode.RCDATA],
  ['textarea', TokenizerMode.RCDATA],
  ['style', TokenizerMode.RAWTEXT],
  ['xmp', TokenizerMode.RAWTEXT],
  ['iframe', TokenizerMode.RAWTEXT],
  ['noembed', TokenizerMode.RAWTEXT],
  ['noframes', TokenizerMode.RAWTEXT],
  ['script', TokenizerMode.SCRIPT_DATA],
  ['plaintext', TokenizerMode.PLAINTEXT],
]);

/** Start tags of the elements with their attributes, and end tags, in their order. */
function expected(html: string): Tag[] {
  const tags: Tag[] = [];
  const ignore = (): void => {};
  const tokenizer = new Tokenizer(
    { sourceCodeLocationInfo: true },
    {
      onStartTag(token: Token.TagToken) {
        const mode = MODES.get(token.tagName);
        if (mode !== undefined) {
          tokenizer.lastStartTagName = token.tagName;
          tokenizer.state = mode;
        }
        if (!ELEMENTS.has(token.tagName)) return;
        const places = (token.location as Token.LocationWithAttributes)?.attrs ?? {};
        tags.push({
          attributes: token.attrs
            .filter(({ name }) => ATTRIBUTES.has(name))
            .map(({ name, value }) => [name, places[name]!.startOffset, /[&<]/.test(value) ? '' : value]),
        });
      },
      // Longer names match none of the searched tags.
      onEndTag: ({ tagName, location }) =>
        tags.push({ name: tagName.length > 16 ? '' : tagName, start: location!.startOffset }),
      onComment: ignore,
      onDoctype: ignore,
      onEof: ignore,
      onCharacter: ignore,
      onNullCharacter: ignore,
      onWhitespaceCharacter: ignore,
      onParseError: null,
    },
  );
  tokenizer.write(html, true);
  return tags;
}

function found(html: string): Tag[] {
  const tags: Tag[] = [];
  scanHtml(html, {
    elements: ELEMENTS,
    attributes: ATTRIBUTES,
    text() {},
    open(attributes) {
      const first = new Map<string, [string, number, string]>();
      // The standard keeps the first attribute of a name; white space before it is no part of it there.
      for (const { name, start, end, value } of attributes) {
        const at = start + /^[\s/]*/.exec(html.slice(start, end))![0].length;
        const text = value ? html.slice(...value) : '';
        if (!first.has(name)) first.set(name, [name, at, /[&<]/.test(text) ? '' : text]);
      }
      tags.push({ attributes: [...first.values()] });
    },
    close: (name, start) => tags.push({ name, start }),
  });
  return tags;
}

const PIECES = (
  '<a |<A\n|<area |<b |</a>|</b >|</body>|<custom-element |href=|href |HREF = |ses:no-track|ses:tags="a:b"|class=x|' +
  '"|\'|>|/>|<|/|=|`|<!--|-->|--!>|<!-->|<!--->|<!doctype html>|<!|<?xml ?>|</|</ x>|<script>|</script>|' +
  '</script >|<title>|</title>|<textarea>|</textarea>|<style>|</style>|<xmp>|<iframe>|</iframe>|<noscript>|' +
  'https://a.example/?a=1&amp;b=2| |\n|\t|\f|text|ä|&amp;|&#60;a href=x>|<1>|a'
).split('|');

test('tags and attributes are those that the HTML standard finds', () => {
  const random = seededRandom(41);
  let tags = 0;
  for (let i = 0; i < 10_000; i++) {
    const html = Array.from(
      { length: 1 + (i % 40) },
      () => PIECES[Math.floor(random() * PIECES.length)]!,
    ).join('');
    const wanted = expected(html);
    assert.deepEqual(found(html), wanted, JSON.stringify(html));
    tags += wanted.length;
  }
  assert.ok(tags > 5_000, `${tags} tags were compared`);
});
