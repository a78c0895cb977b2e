import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import PostalMime from 'postal-mime';
import { compose } from '../../lib/mail/compose.ts';
import { fieldValue, findField, parseMessage, serialise } from '../../lib/mail/message.ts';
import type { Attachment, ComposeInput } from '../../lib/mail/types.ts';

const SETTINGS = { seed: 20261121, numRuns: 500 };

/** Text as hostile as it gets: markup, scripts, controls, boundaries, dots, line breaks of every kind. */
const piece = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.string({ unit: 'grapheme' }),
  fc.constantFrom(
    '\r',
    '\n',
    '\r\n',
    '.',
    '\r\n.\r\n',
    '--',
    '--=_',
    '=',
    ' ',
    '\t',
    '\0',
    '=\r\n',
    '=_',
    'From ',
  ),
  fc.constantFrom('ä', 'Ж', '語', '😀', 'x'.repeat(80), 'y'.repeat(999), '\ud800'),
);
const text = fc.array(piece, { maxLength: 20 }).map((pieces) => pieces.join(''));

const fileName = fc
  .string({ unit: 'grapheme', minLength: 1, maxLength: 80 })
  .map((name) => `${name.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, '')}.dat`);

const attachment: fc.Arbitrary<Attachment> = fc.record(
  {
    fileName,
    contentId: fc.stringMatching(/^[a-z0-9@.]{1,20}$/),
    inline: fc.boolean(),
    content: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
  },
  { requiredKeys: ['content'] },
);

const input: fc.Arbitrary<ComposeInput> = fc.record(
  {
    from: fc.constant('a@example.com'),
    to: fc.constant(['b@example.net']),
    subject: fc.string({ unit: 'grapheme', maxLength: 200 }),
    text,
    html: text,
    attachments: fc.array(attachment, { maxLength: 4 }),
  },
  { requiredKeys: ['from', 'subject'] },
);

/** A text as a reader must see it: line breaks of one kind (the parser adds some at the end), no lone surrogates. */
const canonical = (value: string): string =>
  value.toWellFormed().replaceAll(/\r\n?/g, '\n').replace(/\n+$/, '');

test('a parser reads a composed message back', async () => {
  await fc.assert(
    fc.asyncProperty(input, async (given) => {
      const message = compose(given, { messageId: 'm@example.com', date: 0 });
      const bytes = serialise(message.fields, message.body);
      const parsed = await PostalMime.parse(bytes, { attachmentEncoding: 'arraybuffer' });
      const same = (actual: string | undefined, expected: string | undefined) =>
        assert.equal(canonical(actual ?? ''), canonical(expected ?? ''));
      same(parsed.text, given.text);
      same(parsed.html, given.html);
      assert.equal(parsed.attachments.length, given.attachments?.length ?? 0);
      for (const one of given.attachments ?? []) {
        const found = parsed.attachments.some(
          (other) =>
            (other.filename ?? undefined) === one.fileName?.toWellFormed() &&
            Buffer.from(other.content as ArrayBuffer).equals(one.content),
        );
        assert.ok(found, `attachment ${one.fileName} arrived`);
      }
    }),
    SETTINGS,
  );
});

test('a composed message is clean on the wire', () => {
  fc.assert(
    fc.property(input, (given) => {
      const message = compose(given, { messageId: 'm@example.com', date: 0 });
      const bytes = serialise(message.fields, message.body).toString('latin1');
      assert.doesNotMatch(bytes, /\r(?!\n)|(?<!\r)\n|[^\t\r\n -~]/);
      for (const line of bytes.split('\r\n')) assert.ok(line.length <= 998);
      assert.ok(bytes.endsWith('\r\n'));
      const again = parseMessage(Buffer.from(bytes, 'latin1'));
      assert.deepEqual(again.fields, message.fields);
      assert.deepEqual(again.body, message.body);
    }),
    SETTINGS,
  );
});

test('no hostile input adds a header field', () => {
  const names = ['from', 'to', 'subject', 'date', 'message-id', 'mime-version'];
  const hostile = fc.array(
    fc.constantFrom('\r', '\n', '\r\n', ' ', 'X-Evil: 1', 'Bcc: v@e.com', ':', '\u2028', 'ü'),
    {
      maxLength: 8,
    },
  );
  fc.assert(
    fc.property(hostile, (pieces) => {
      const subject = pieces.join('');
      const { fields } = compose(
        { from: 'a@example.com', to: ['b@example.net'], subject, text: 't' },
        { messageId: 'm@example.com', date: 0 },
      );
      assert.deepEqual(
        fields.map((field) => field.name),
        [...names, 'content-type', 'content-transfer-encoding'],
      );
      assert.doesNotMatch(fieldValue(findField(fields, 'subject')!), /[\r\n]/);
    }),
    SETTINGS,
  );
});
