import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createTrackingLinks, MAX_TARGET } from '../../lib/tracking/links.ts';
import { createTracker, readLinkTags, withoutPlaceholder } from '../../lib/tracking/tracking.ts';
import {
  ALL,
  BASE,
  CLICKS,
  clicksIn,
  HOST,
  imagesIn,
  LINKS,
  MESSAGE,
  tracker,
  untracked,
} from '../support/tracking.ts';

/** Targets of the tracked links in HTML. */
function targets(html: string): string[] {
  return clicksIn(tracker()(html) ?? '').map(({ target }) => target);
}

describe('a tracking link', () => {
  const path = LINKS.click(HOST, MESSAGE, 7, 'https://example.org/?a=1#b', 'k:v');

  test('carries message, recipient, position, target and tags', () => {
    assert.deepEqual(LINKS.read(HOST, path), {
      kind: 'click',
      ...MESSAGE,
      place: 7,
      target: 'https://example.org/?a=1#b',
      tags: 'k:v',
    });
    assert.deepEqual(LINKS.read(HOST, LINKS.open(HOST, MESSAGE)), { kind: 'open', ...MESSAGE });
    const several = LINKS.open(HOST, { messageId: MESSAGE.messageId });
    assert.deepEqual(LINKS.read(HOST, several), { kind: 'open', messageId: MESSAGE.messageId });
  });

  test('is read with the host in any case', () => {
    assert.ok(LINKS.read(HOST.toUpperCase(), path));
  });

  test('is invalid with any character changed, removed or added', () => {
    for (let at = 0; at < path.length; at++) {
      const other = path[at] === 'A' ? 'B' : 'A';
      for (const changed of [
        path.slice(0, at) + other + path.slice(at + 1),
        path.slice(0, at) + path.slice(at + 1),
        path.slice(0, at) + other + path.slice(at),
      ]) {
        assert.equal(LINKS.read(HOST, changed), undefined, changed);
      }
    }
  });

  test('is invalid at another host, under another key, or for another target', () => {
    assert.equal(LINKS.read('click.example.net', path), undefined);
    assert.equal(createTrackingLinks(Buffer.alloc(32, 6)).read(HOST, path), undefined);
    const [, , kind, token] = path.split('/');
    const evil = Buffer.from('https://evil.example/').toString('base64url');
    assert.equal(LINKS.read(HOST, `/t/${kind}/${token}/${evil}`), undefined);
    assert.equal(LINKS.read(HOST, `/t/o/${token}`), undefined);
    const image = LINKS.open(HOST, MESSAGE).split('/')[3];
    assert.equal(LINKS.read(HOST, `/t/c/${image}/${evil}`), undefined);
  });

  test('has room for the longest target, and any longer path is ignored', () => {
    const target = `https://example.org/${'x'.repeat(MAX_TARGET - 20)}`;
    const longest = LINKS.click(HOST, MESSAGE, 0, target, 'k:v');
    assert.ok(longest.length < 6_500, String(longest.length));
    assert.equal((LINKS.read(HOST, longest) as { target: string }).target, target);
    assert.throws(() => LINKS.click(HOST, MESSAGE, 0, `${target}x`, ''), { code: 'internal' });
    assert.equal(LINKS.read(HOST, `/t/c/${'A'.repeat(52)}/${'A'.repeat(100_000)}`), undefined);
  });
});

describe('links', () => {
  test('of a and area to http and https are tracked, in any spelling of a tag', () => {
    const html = `<a href="https://a.example/1">1</a><A\n class=x HREF = 'http://a.example/2' >2</A>
<a href=https://a.example/3>3</a><map><area shape=rect href="HTTPS://a.example/4"/></map><a/href="https://a.example/5">5</a>`;
    assert.deepEqual(targets(html), [
      'https://a.example/1',
      'http://a.example/2',
      'https://a.example/3',
      'HTTPS://a.example/4',
      'https://a.example/5',
    ]);
    assert.equal(untracked(tracker()(html)!), html);
  });

  test('keep quotes, attributes and everything around them', () => {
    assert.equal(
      tracker()(`<p>ä <a title="<b>" href='https://a.example/' id=x>t</a></p>`),
      `<p>ä <a title="<b>" href='${BASE}${LINKS.click(HOST, MESSAGE, 0, 'https://a.example/', '')}' id=x>t</a></p>`,
    );
  });

  test('to anything else, or in anything else, are left alone', () => {
    for (const html of [
      '<a href="mailto:a@b.example">',
      '<a href="#top">',
      '<a href="/relative">',
      '<a href="//a.example/">',
      '<a href="tel:+1">',
      '<a href="javascript:location=\'https://a.example\'">',
      '<a href="ftp://a.example/">',
      '<a href="">',
      '<a href>',
      '<a name="https://a.example/">',
      '<a data-href="https://a.example/">',
      '<abbr href="https://a.example/">',
      '<link href="https://a.example/style.css">',
      '<img src="https://a.example/x.png">',
      '<!-- <a href="https://a.example/"> -->',
      '<!--><!-- <a href="https://a.example/"> --!>',
      '<!--[if mso]><a href="https://a.example/"><![endif]-->',
      '<script>"<a href=https://a.example/>"</script>',
      '<style><a href="https://a.example/"></style>',
      '<TITLE><a href="https://a.example/"></TITLE>',
      '<textarea><a href="https://a.example/"></textareax></textarea>',
      '<p title="<a href=https://a.example/>">',
      '<a title="x href=https://a.example/ ">',
      '< a href="https://a.example/">',
      '</a href="https://a.example/">',
      '<plaintext><a href="https://a.example/">',
      '<a href="https://a.example/',
      '<a href=https://a.example/',
      'https://a.example/',
    ])
      assert.equal(tracker()(html), undefined, html);
  });

  test('after text that is not a tag are still found', () => {
    const link = '<a href="https://a.example/">';
    for (const before of [
      '<',
      '<<',
      '< b',
      '</>',
      '<!x>',
      '<?x>',
      '<!---->',
      '<!-->',
      '<!--->',
      '<!--x--!>',
      '1<2',
    ])
      assert.deepEqual(targets(before + link), ['https://a.example/'], JSON.stringify(before));
    // A browser reads a comment up to the end of the tag.
    assert.deepEqual(targets(`</${link}${link}`), ['https://a.example/']);
    assert.deepEqual(targets(`<style>a{}</STYLE >${link}`), ['https://a.example/']);
    assert.deepEqual(targets(`<p a='>' b=">" c=>${link}`), ['https://a.example/']);
  });

  test('lead where a browser would go, with character references, white space and line breaks', () => {
    assert.deepEqual(targets('<a href="https://a.example/?a=1&amp;b=2&c=3&#38;d&#x26;e&amp f">'), []);
    assert.deepEqual(targets('<a href="https://a.example/?a=1&amp;b=2&c=3&#38;d&#x26;e&amp">'), [
      'https://a.example/?a=1&b=2&c=3&d&e&',
    ]);
    assert.deepEqual(targets('<a href="https://a.example/?a=1&ampb=2">'), ['https://a.example/?a=1&ampb=2']);
    assert.deepEqual(targets('<a href=" \n https://a.exa\r\n\tmple/ ">'), ['https://a.example/']);
    assert.deepEqual(targets('<a href="https&colon;//a.example/">'), []);
    assert.deepEqual(targets('<a href="https&#58;//a.example/">'), ['https://a.example/']);
  });

  test('that violate RFC 3986, or are too long, are left alone', () => {
    for (const url of [
      'https://a.example/a b',
      'https://a.example/ä',
      'https://a.example/{x}',
      'https://a.example/%zz',
      'https://a.example/&#10;x',
      'https://a.example/&#0;',
      'https://a.example/&#228;',
      'https://a.example/\\',
      'https://a.example/&nbsp;',
      'https://a.example/&lt;',
      'https://',
      'https://a.example:99999/',
      'https:///',
      `https://a.example/${'x'.repeat(MAX_TARGET)}`,
      `https://a.example/${'&amp;'.repeat(10_000)}`,
    ]) {
      // A browser also drops a line break that is written as a reference.
      const expected = url.includes('&#10;') ? ['https://a.example/x'] : [];
      assert.deepEqual(targets(`<a href="${url}">`), expected, url.slice(0, 60));
    }
  });

  test('with ses:no-track are left alone, without the attribute', () => {
    assert.equal(
      tracker()('<a ses:no-track href="https://a.example/">x</a>'),
      '<a href="https://a.example/">x</a>',
    );
    assert.equal(tracker()('<a ses:no-track="true"href=https://a.example/>'), '<a href=https://a.example/>');
    assert.equal(tracker()('<a href="https://a.example/" SES:No-Track>'), '<a href="https://a.example/">');
  });

  test('carry their ses:tags, which are removed from the HTML', () => {
    const html = tracker()('<a ses:tags="product:book;color:green;" href="https://a.example/">')!;
    assert.doesNotMatch(html, /ses:|book/);
    assert.equal(clicksIn(html)[0]!.tags, 'product:book;color:green;');
    assert.deepEqual(readLinkTags('product:book;color:green;color: red ;x;:y;z:;__proto__:p'), {
      product: ['book'],
      color: ['green', 'red'],
      ['__proto__']: ['p'],
    });
    assert.equal(readLinkTags(''), null);
    for (const tags of ['a:&amp;', 'a:ä', `a:${'x'.repeat(600)}`]) {
      assert.equal(
        clicksIn(tracker()(`<a ses:tags="${tags}" href="https://a.example/">`)!)[0]!.tags,
        '',
        tags,
      );
    }
  });

  test('beyond the 250th of a message, over all its parts, are left alone', () => {
    const track = tracker();
    const count = (n: number): number =>
      clicksIn(track('<a href="https://a.example/">'.repeat(n)) ?? '').length;
    assert.deepEqual([count(200), count(60), count(1)], [200, 50, 0]);
  });

  test('keep their scheme where the domain serves both', () => {
    const track = createTracker(LINKS, MESSAGE, { click: { http: `http://${HOST}`, https: BASE } });
    const html = track('<a href="http://a.example/"><a href="https://a.example/">')!;
    assert.match(
      html,
      /^<a href="http:\/\/click\.example\.com\/t\/c\/[^"]+"><a href="https:\/\/click\.example\.com\/t\/c\//,
    );
  });

  test('are found in linear time in any HTML', { timeout: 20_000 }, () => {
    const size = 1_000_000;
    for (const piece of [
      '<',
      '<a ',
      '<a href=',
      '<a href="',
      '<a href="https://a.example/',
      "<a href='https://a.example/?",
      '<!--',
      '<!-- -',
      '<title>',
      '<title></titl',
      '<script><!--',
      '</',
      '<a/',
      '<a =',
      '<a a ',
      '<a ses:no-track ',
      '&amp;',
      '<a href=" ',
      '{{ses:openTracker}}',
      '<b>{{ses:openTracker}}<!--{{ses:openTracker}}-->',
      '<a href="https://a.example/&amp;&amp;&amp;" ',
    ]) {
      const hostile = piece.repeat(size / piece.length);
      tracker(ALL)(hostile);
      tracker(ALL)(`${hostile}">`);
    }
    tracker(ALL)(`<a href="https://a.example/${' '.repeat(4000)}x">`.repeat(1000));
  });
});

describe('the image', () => {
  test('stands before the end of the body, else of the document, else at the end of the text', () => {
    const image =
      /<img alt="" src="https:\/\/click\.example\.com\/t\/o\/[\w-]{52}" width="1" height="1"[^>]*>/.source;
    const open = { open: BASE };
    for (const [html, expected] of [
      ['<body>x</body></html>', `^<body>x${image}</body></html>$`],
      ['<BODY>x<!-- </body> --></BODY\n>', `^<BODY>x<!-- </body> -->${image}</BODY\n>$`],
      ['<html>x</html>\r\n', `^<html>x${image}</html>\r\n$`],
      ['<p>x', `^<p>x${image}$`],
    ] as const) {
      assert.match(tracker(open)(html)!, new RegExp(expected));
    }
  });

  test('takes the place of the first placeholder in the text; others vanish', () => {
    const html = tracker(ALL)(
      '<body>{{ses:openTracker}}<p>x{{ses:openTracker}}</p>{{ses:openTracker}}</body>',
    )!;
    assert.match(html, /^<body><img [^>]+><p>x<\/p><\/body>$/);
    const track = tracker(ALL);
    assert.equal(imagesIn(track('one')!).length, 1);
    assert.equal(track('{{ses:openTracker}}two'), 'two', 'a message has one image');
  });

  test('is absent when only clicks are tracked, and its placeholder is removed', () => {
    assert.equal(tracker(CLICKS)('a{{ses:openTracker}}b'), 'ab');
    assert.equal(withoutPlaceholder('a{{ses:openTracker}}b{{ses:openTracker}}'), 'ab');
  });

  test('of a message carries its recipient, or none when there are several', () => {
    const [path] = imagesIn(tracker(ALL)('x')!);
    assert.deepEqual(LINKS.read(HOST, path!), { kind: 'open', ...MESSAGE });
  });
});
