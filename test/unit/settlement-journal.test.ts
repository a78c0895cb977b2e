/** The settlement journal: what a later run reads of it, whatever was cut off, damaged or refused. */
import assert from 'node:assert/strict';
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import fc from 'fast-check';
import { MARKS, readJournal, removeJournal, SettlementJournal } from '../../lib/engine/settlement-journal.ts';

describe('settlement journal', () => {
  let above: string;
  let directory: string;
  let logged: string[];

  beforeEach(() => {
    above = mkdtempSync(join(tmpdir(), 'postern-journal-'));
    directory = join(above, 'journal');
    logged = [];
  });
  afterEach(() => rmSync(above, { recursive: true }));

  const open = (): SettlementJournal =>
    new SettlementJournal(directory, { error: (message) => void logged.push(message) });
  const files = (): string[] => readdirSync(directory).map((name) => join(directory, name));
  const onlyFile = (): string => {
    assert.equal(files().length, 1);
    return files()[0]!;
  };

  it('of a run that never ended, gives what was noted and not settled', () => {
    const journal = open();
    const [first] = journal.note(['["first"]']);
    journal.note(['["second 250 2.0.0 Ok"]', '["dritte für ann@example.net"]']);
    assert.equal(readJournal(directory).notes.length, 3);
    journal.settled([first]);
    journal.note(['["fourth"]']);
    const { notes, damage } = readJournal(directory);
    assert.deepEqual(notes, ['["second 250 2.0.0 Ok"]', '["dritte für ann@example.net"]', '["fourth"]']);
    assert.deepEqual(damage, []);
    assert.deepEqual(logged, []);
  });

  it('holds back a thousand marks at most, so that a node without news does not settle more of them twice', () => {
    const journal = open();
    const notes = journal.note(Array.from({ length: MARKS + 2 }, (_, n) => String(n)));
    journal.settled(notes.slice(0, MARKS));
    assert.equal(readJournal(directory).notes.length, MARKS + 2);
    journal.settled(notes.slice(MARKS, MARKS + 1));
    assert.deepEqual(readJournal(directory).notes, [String(MARKS + 1)]);
    journal.close();
  });

  it('marks what was settled with the next note, or at the end, and not by a write of its own', () => {
    const journal = open();
    const [first, second] = journal.note(['one', 'two', 'three']);
    const { size } = statSync(onlyFile());
    journal.settled([first]);
    assert.equal(statSync(onlyFile()).size, size);
    const [fourth] = journal.note(['four']);
    assert.deepEqual(readJournal(directory).notes, ['two', 'three', 'four']);
    journal.settled([second, fourth]);
    assert.deepEqual(readJournal(directory).notes, ['two', 'three', 'four']);
    journal.close();
    assert.deepEqual(readJournal(directory).notes, ['three']);
  });

  it('can be read by its owner alone', () => {
    open().note(['private']);
    assert.equal(statSync(directory).mode & 0o777, 0o700);
    assert.equal(statSync(onlyFile()).mode & 0o777, 0o600);
  });

  it('cut off at any byte, gives every whole note before it and no damage', () => {
    const journal = open();
    journal.note(['one', 'two']);
    journal.note(['three']);
    const bytes = readFileSync(onlyFile());
    for (let length = bytes.length - 1; length >= 0; length -= 1) {
      truncateSync(onlyFile(), length);
      const { notes, damage } = readJournal(directory);
      const whole = bytes.subarray(0, length).toString().split('\n').length - 1;
      assert.deepEqual(notes, ['one', 'two', 'three'].slice(0, whole), `cut at ${length}`);
      assert.deepEqual(damage, []);
    }
  });

  it('with a bit turned anywhere, loses that note alone, and tells damage from a torn end', () => {
    const journal = open();
    journal.note(['one', 'two', 'three']);
    const bytes = readFileSync(onlyFile());
    const ends = [...bytes.entries()].filter(([, byte]) => byte === 0x0a).map(([at]) => at);
    for (let at = 0; at < bytes.length; at += 1) {
      const hurt = Buffer.from(bytes);
      hurt[at]! ^= 0x04;
      writeFileSync(onlyFile(), hurt);
      const { notes, damage } = readJournal(directory);
      const last = ends.findIndex((end) => at <= end);
      // Without its line end a line goes with the next one.
      const gone = ends.includes(at) ? [last, last + 1] : [last];
      assert.deepEqual(
        notes,
        ['one', 'two', 'three'].filter((_, n) => !gone.includes(n)),
        `byte ${at}`,
      );
      assert.equal(damage.length, gone.includes(2) ? 0 : 1, `byte ${at}`);
      if (damage[0])
        assert.match(damage[0], /is damaged from byte \d+ to \d+: deliveries noted there are sent/);
    }
  });

  it('of any content, gives notes of its own alone, and does not throw', () => {
    const journal = open();
    journal.note(['own']);
    const file = onlyFile();
    const own = readFileSync(file);
    const piece = fc.oneof(
      fc.uint8Array({ maxLength: 60 }),
      fc.constant(own),
      fc.constant(Buffer.from('\n')),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 6 }), (pieces) => {
        writeFileSync(file, Buffer.concat(pieces));
        for (const note of readJournal(directory).notes) assert.equal(note, 'own');
      }),
      { numRuns: 200 },
    );
  });

  it('stays small while what it notes is settled, and keeps what is not', () => {
    const journal = open();
    const text = 'x'.repeat(1_000);
    const [stuck] = journal.note(['stuck']);
    for (let n = 0; n < 3_000; n += 1) journal.settled(journal.note([text]));
    assert.ok(files().length <= 3, `${files().length} files`);
    const size = files().reduce((sum, path) => sum + statSync(path).size, 0);
    assert.ok(size < 1 << 20, `${size} bytes`);
    assert.ok(readJournal(directory).notes.includes('stuck'));
    journal.settled([stuck]);
    journal.close();
    assert.deepEqual(files(), []);
  });

  it('leaves what was not settled to the next run, whose notes are others', () => {
    const first = open();
    first.note(['one']);
    first.close();
    const second = open();
    const [note] = second.note(['two']);
    second.settled([note]);
    second.note(['three']);
    const reading = readJournal(directory);
    assert.deepEqual(reading.notes, ['one', 'three']);
    removeJournal(reading);
    assert.deepEqual(readJournal(directory), { notes: [], damage: [], files: [] });
  });

  it('logs once that the disk takes nothing, and notes again when it does', () => {
    writeFileSync(directory, 'a file where the directory should be');
    assert.throws(open, { code: 'ENOTDIR' });
    rmSync(directory);
    const journal = open();
    writeFileSync(directory, '');
    assert.deepEqual(journal.note(['one']), [undefined]);
    assert.deepEqual(journal.note(['two']), [undefined]);
    journal.settled([undefined]);
    assert.deepEqual(logged, ['journal.failed']);
    rmSync(directory);
    assert.equal(journal.note(['three']).length, 1);
    assert.deepEqual(readJournal(directory).notes, ['three']);
  });
});
