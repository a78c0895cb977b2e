import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compose } from '../../lib/mail/compose.ts';
import { MAX_DATA } from '../../lib/template/data.ts';
import {
  compileTemplate,
  MAX_SOURCE,
  mergeData,
  parseTemplateData,
  renderTemplate,
} from '../../lib/template/template.ts';

const render = (html: string, data: Record<string, unknown> = {}): string =>
  renderTemplate(compileTemplate({ html }), data).html!;

const absent = (html: string, name: string, data: Record<string, unknown> = {}) =>
  assert.throws(() => render(html, data), {
    code: 'rendering_failed',
    message: `Attribute '${name}' is not present in the rendering data.`,
  });

const refused = (html: string, words: RegExp) =>
  assert.throws(() => compileTemplate({ html }), { code: 'invalid_template', message: words });

const tooComplex = (html: string, words: RegExp, data: Record<string, unknown> = {}) =>
  assert.throws(() => render(html, data), { code: 'template_too_complex', message: words });

test('renders the given parts, without escaping', () => {
  const compiled = compileTemplate({ subject: 'Hi {{name}}', html: '<b>{{name}}</b>' });
  assert.deepEqual(renderTemplate(compiled, { name: '<i>&"' }), {
    subject: 'Hi <i>&"',
    html: '<b><i>&"</b>',
  });
  assert.deepEqual(renderTemplate(compileTemplate({ text: '' }), {}), { text: '' });
});

test('a variable that the data lacks fails the rendering, in the words of SES', () => {
  absent('Hi {{name}}', 'name');
  absent('{{user.name}}', 'user.name', { user: {} });
  absent('{{user.name}}', 'user.name', { user: null });
  absent('{{user.name.first}}', 'user.name.first', { user: 'x' });
  absent('{{../x}}', '../x', { x: 1 });
  absent('{{@index}}', '@index');
  absent('{{#each list}}{{this.a}}{{/each}}', 'this.a', { list: [{}] });
  absent('{{lookup map key}}', 'map.key', { map: {}, key: 'k' });
  assert.throws(() => renderTemplate(compileTemplate({ subject: '{{x}}', html: 'fine' }), {}), {
    message: "Attribute 'x' is not present in the rendering data.",
  });
});

test('a condition, a loop or a section over missing data is not a failure', () => {
  assert.equal(render('{{#if x}}a{{else}}b{{/if}}'), 'b');
  assert.equal(render('{{#unless x.y}}a{{/unless}}'), 'a');
  assert.equal(render('{{#each x}}a{{else}}none{{/each}}'), 'none');
  assert.equal(render('{{#with x}}a{{else}}none{{/with}}'), 'none');
  assert.equal(render('{{#x}}a{{/x}}{{^x}}b{{/x}}'), 'b');
});

test('present values render as in Handlebars', () => {
  const data = { n: null, zero: 0, no: false, list: [1, [2, null], 'x'], object: { a: 1 }, empty: '' };
  assert.equal(
    render('{{n}}|{{zero}}|{{no}}|{{list}}|{{object}}|{{empty}}', data),
    '|0|false|1,2,,x|[object Object]|',
  );
  assert.equal(render('{{list.length}}{{list.[0]}}{{"n"}}', data), '31');
});

test('neighbours that are numbers are text, not a sum', () => {
  assert.equal(
    render('{{a}}{{b}}{{#each list}}{{this}}{{@index}}{{/each}}', { a: 1, b: 2, list: [3] }),
    '1230',
  );
});

test('white space before a partial indents its lines, and is dropped when the partial is empty', () => {
  const html = '{{#*inline "p"}}{{x}}{{/inline}}<\n  {{> p}}\n>';
  assert.equal(render(html, { x: 'a\nb\n' }), '<\n  a\n  b\n>');
  assert.equal(render(html, { x: '' }), '<\n>');
});

test('only own properties are visible', () => {
  for (const name of ['constructor', '__proto__', 'toString', 'hasOwnProperty', 'valueOf']) {
    absent(`{{${name}}}`, name);
    absent(`{{list.${name}}}`, `list.${name}`, { list: [] });
    absent(`{{text.${name}}}`, `text.${name}`, { text: 'x' });
    absent(`{{lookup map "${name}"}}`, `map.${name}`, { map: {} });
    assert.equal(render(`{{#if ${name}}}a{{else}}b{{/if}}`), 'b');
  }
  absent('{{constructor.constructor}}', 'constructor.constructor');
});

test('data with dangerous names stays data', () => {
  const data = parseTemplateData(
    '{"__proto__":{"polluted":"yes"},"constructor":"c","list":[{"__proto__":{"a":1}}],"o":{"toString":"x","valueOf":1}}',
  );
  assert.equal(render('{{__proto__.polluted}} {{constructor}}', data), 'yes c');
  absent('{{polluted}}', 'polluted', data);
  assert.equal(render('{{#each __proto__}}{{@key}}{{/each}}', data), 'polluted');
  assert.equal(render('{{o}} {{list}}', data), '[object Object] [object Object]');
  assert.equal(render('{{#*inline "p"}}{{__proto__}}{{/inline}}{{> p __proto__="z"}}', {}), 'z');
  assert.equal(({} as Record<string, unknown>).polluted, undefined);
});

test('inline partials belong to one part', () => {
  const html = '{{#*inline "sign"}}-- {{name}}{{/inline}}{{> sign}}';
  assert.equal(render(html, { name: 'Jo' }), '-- Jo');
  const both = compileTemplate({ html, text: '{{> sign}}' });
  assert.throws(() => renderTemplate(both, { name: 'Jo' }), {
    code: 'rendering_failed',
    message: "Partial 'sign' is not defined in this part of the template.",
  });
  for (const name of ['constructor', '__proto__', 'toString']) {
    assert.throws(() => render(`{{> ${name}}}`), { code: 'rendering_failed' });
  }
});

test('a template with an unsupported feature is refused on creation, with the position', () => {
  refused('Hello\n {{name', /not valid Handlebars: Parse error on line 2/);
  refused('{{#if a}}x', /not valid Handlebars/);
  refused('{{#if a}}x{{/each}}', /if doesn't match each/);
  refused('{{upper name}}', /\{\{upper …\}\} is not offered.*\(line 1, column 1\)/);
  refused('x\n  {{log name}}', /log.*\(line 2, column 3\)/);
  refused('{{name first=1}}', /not offered/);
  refused('{{if}}', /not offered/);
  refused('{{#custom a}}{{/custom}}', /#custom …\}\} is not offered/);
  refused('{{#if}}{{/if}}', /exactly one argument/);
  refused('{{#if a b}}{{/if}}', /exactly one argument/);
  refused('{{#if (upper a)}}{{/if}}', /only lookup gives a value/);
  refused('{{lookup a}}', /exactly two arguments/);
  refused('{{> a b c}}', /at most one argument/);
  refused('{{#> layout}}{{/layout}}', /partial blocks/);
  refused('{{* decorate}}', /of decorators/);
  refused('{{#*other "x"}}{{/other}}', /of decorators/);
  refused('{{#*inline name}}{{/inline}}', /of decorators/);
  refused('{{#if a as |b|}}{{/if}}', /block parameters/);
  refused('{{{{raw}}}} {{x}} {{{{/raw}}}}', /raw blocks/);
});

test('templates are limited to 500 KB, all parts together', () => {
  const half = 'é'.repeat(MAX_SOURCE / 4);
  compileTemplate({ text: half, html: half });
  assert.throws(() => compileTemplate({ text: half, html: half, subject: 'x' }), {
    code: 'bad_request',
    message: /512001 octets/,
  });
});

test('bombs in the source are refused before they are parsed', () => {
  tooComplex('{{a}}'.repeat(100_000), /more than 10000 tags/);
  tooComplex(`${'{{#if a}}'.repeat(9000)}`, /nested over 100 deep/);
  tooComplex(`{{#if a}}${'{{else if b}}'.repeat(9000)}{{/if}}`, /nested over 100 deep/);
  tooComplex(`{{lookup ${'(lookup '.repeat(5000)}a${' b)'.repeat(5000)} c}}`, /subexpressions are nested/);
  tooComplex(`{{lookup ${'a '.repeat(200_000)}}}`, /more than 100000 characters/);
  tooComplex('{{!-- x --}}'.repeat(9000), /too many comments|tags/);
  // A closing tag inside a string or a comment closes nothing.
  tooComplex('{{#if "{{/if}}"}}'.repeat(200), /nested over 100 deep/);
  tooComplex('{{#if a}}{{!-- {{/if}} --}}'.repeat(200), /nested over 100 deep/);
  tooComplex('{{#if a}}\\{{/if}}'.repeat(200), /nested over 100 deep/);
  refused(`{{#if a}}{{lookup "${'x'.repeat(1000)}`, /not closed with "/);
  refused('a \0 {{b}}', /not valid Handlebars/);
});

test('100 nested blocks are accepted, 101 are not', () => {
  const nested = (depth: number) => `${'{{#if a}}'.repeat(depth)}x${'{{/if}}'.repeat(depth)}`;
  assert.equal(render(nested(100), { a: 1 }), 'x');
  tooComplex(nested(101), /nested over 100 deep/, { a: 1 });
});

test('bombs that go off while rendering are bounded by steps, output and depth', () => {
  const list = Array.from({ length: 1000 }, (_, i) => i);
  const nested = '{{#each list}}{{#each @root.list}}{{#each @root.list}}x{{/each}}{{/each}}{{/each}}';
  tooComplex(nested, /more than 250000 steps/, { list });
  tooComplex(nested.replace('x', ''), /more than 250000 steps/, { list });
  tooComplex(`{{#each list}}${'x'.repeat(100_000)}{{/each}}`, /longer than 10000000 characters/, { list });
  tooComplex('{{#*inline "p"}}{{> p}}{{/inline}}{{> p}}', /partials are nested over 100 deep/);
  tooComplex('{{#*inline "p"}}x{{> p}}{{> p}}{{/inline}}{{> p}}', /partials are nested over 100 deep/);
  const deep = `{{#*inline "p"}}${'{{#if a}}'.repeat(98)}{{> p}}${'{{/if}}'.repeat(98)}{{/inline}}{{> p}}`;
  tooComplex(deep, /nested/, { a: 1 });
  let lists: unknown[] = [];
  for (let i = 0; i < 10_000; i++) lists = [lists];
  tooComplex('{{lists}}', /list in its data is nested over 100 deep/, { lists });
});

test('the limit of output counts all parts together, at its edge', () => {
  const compiled = compileTemplate({ text: '12345', html: '{{x}}' });
  const budget = { characters: 20, steps: 1_000 };
  assert.deepEqual(renderTemplate(compiled, { x: '67890' }, budget), { text: '12345', html: '67890' });
  assert.deepEqual(budget, { characters: 10, steps: 998 });
  assert.deepEqual(renderTemplate(compiled, { x: '67890' }, budget), { text: '12345', html: '67890' });
  assert.throws(() => renderTemplate(compiled, { x: '6' }, budget), { code: 'too_large' });
  const long = 'x'.repeat(9_999_995);
  assert.equal(renderTemplate(compiled, { x: long }).html!.length, 9_999_995);
  assert.throws(() => renderTemplate(compiled, { x: `${long}y` }), { code: 'template_too_complex' });
});

test('a compiled template can be used again after a failure', () => {
  const compiled = compileTemplate({ html: '{{#*inline "p"}}{{x}}{{/inline}}{{> p}}' });
  assert.throws(() => renderTemplate(compiled, {}));
  assert.equal(renderTemplate(compiled, { x: 'y' }).html, 'y');
});

test('one source is compiled once while up to 900 others come between, and again after 2,100', () => {
  const first = compileTemplate({ html: 'cached {{x}}' });
  for (let i = 0; i < 900; i++) compileTemplate({ html: `other ${i}` });
  assert.equal(compileTemplate({ html: 'cached {{x}}' }).html, first.html);
  for (let i = 0; i < 2100; i++) compileTemplate({ html: `another ${i}` });
  assert.notEqual(compileTemplate({ html: 'cached {{x}}' }).html, first.html);
});

test('a subject rendered with line breaks cannot become a header field', () => {
  const { subject } = renderTemplate(compileTemplate({ subject: 'Hi {{name}}\n' }), {
    name: 'x\r\nBcc: victim@example.com',
  });
  const { fields } = compose(
    { from: 'a@example.com', subject: subject!, text: 't' },
    { messageId: 'm', date: 0 },
  );
  assert.ok(!fields.some((field) => field.name === 'bcc'));
  assert.equal(
    fields.find((field) => field.name === 'subject')!.raw,
    'Subject: Hi x Bcc: victim@example.com',
  );
});

test('template data is a JSON object of at most 262,144 characters', () => {
  assert.deepEqual(parseTemplateData(undefined), {});
  assert.deepEqual(parseTemplateData(''), {});
  assert.deepEqual(parseTemplateData('{"a":[1]}'), { a: [1] });
  const sized = (length: number) => `{"a":"${'x'.repeat(length - 8)}"}`;
  assert.equal(sized(MAX_DATA).length, MAX_DATA);
  parseTemplateData(sized(MAX_DATA));
  assert.throws(() => parseTemplateData(sized(MAX_DATA + 1)), { code: 'bad_request', message: /262145/ });
  assert.throws(() => parseTemplateData('{a:1}'), { code: 'bad_request', message: /not valid JSON/ });
  for (const text of ['[]', 'null', '1', '"x"']) {
    assert.throws(() => parseTemplateData(text), { code: 'bad_request', message: /not a JSON object/ });
  }
});

test('merging data goes into objects and replaces everything else', () => {
  const defaults = { a: 1, user: { name: 'x', tags: ['p', 'q'], address: { city: 'Rome' } }, keep: true };
  const replacement = { user: { name: 'y', tags: ['r'], address: { zip: 1 } }, a: { deep: 1 }, b: null };
  assert.deepEqual(mergeData(defaults, replacement), {
    a: { deep: 1 },
    user: { name: 'y', tags: ['r'], address: { city: 'Rome', zip: 1 } },
    keep: true,
    b: null,
  });
  assert.deepEqual(defaults.user.address, { city: 'Rome' });
});

test('merging hostile data pollutes no prototype, and ends', () => {
  const defaults = JSON.parse('{"__proto__":{"a":1},"constructor":{"x":1}}');
  const replacement = JSON.parse('{"__proto__":{"polluted":2},"constructor":{"prototype":{"polluted":3}}}');
  const merged = mergeData(defaults, replacement);
  assert.equal(
    JSON.stringify(Object.getOwnPropertyDescriptor(merged, '__proto__')!.value),
    '{"a":1,"polluted":2}',
  );
  assert.equal(Object.getPrototypeOf(merged), Object.prototype);
  assert.equal(({} as Record<string, unknown>).polluted, undefined);
  assert.deepEqual(mergeData({}, JSON.parse('{"toString":{"a":1}}')), { toString: { a: 1 } });
  const deep = JSON.parse(`${'{"a":'.repeat(20_000)}1${'}'.repeat(20_000)}`);
  assert.throws(() => mergeData(deep, deep), { code: 'template_too_complex' });
});
