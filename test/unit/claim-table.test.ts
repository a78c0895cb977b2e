/** Claims of idempotent calls in the embedded store. */
import assert from 'node:assert/strict';
import type { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { ClaimTable, secretHash } from '../../lib/engine/embedded/store/claims.ts';
import { openDatabase } from '../../lib/engine/embedded/store/database.ts';
import { CLAIM_SPAN, IN_MEMORY } from '../../lib/engine/embedded/store/schema.ts';

/** Beginning of a span. */
const START = CLAIM_SPAN * 6_000_000;

describe('the table of claims', () => {
  let db: DatabaseSync;
  let close: () => void;
  let claims: ClaimTable;

  beforeEach(() => {
    ({ db, close } = openDatabase(IN_MEMORY));
    claims = new ClaimTable(db);
  });
  afterEach(() => close());

  const add = (key: string, expiresAt = START + 1): void =>
    claims.add({ key, digest: `digest of ${key}`, expiresAt, response: `answer to ${key}` });
  const answer = (key: string, now = START): string | undefined => claims.find(key, now)?.response;
  const count = (): unknown => db.prepare('SELECT count(*) AS n FROM claims').get()!.n;

  test('gives the claim of a key, until it expires', () => {
    add('a', START + 10);
    assert.deepEqual(claims.find('a', START + 9), { digest: 'digest of a', response: 'answer to a' });
    assert.equal(claims.find('a', START + 10), undefined);
    assert.equal(claims.find('b', START), undefined);
  });

  test('gives the later of two claims of a key, of which the first has expired', () => {
    add('a', START + 10);
    claims.add({ key: 'a', digest: 'other', expiresAt: START + CLAIM_SPAN, response: 'second' });
    claims.add({ key: 'b', digest: 'x', expiresAt: START + 10, response: 'first' });
    claims.add({ key: 'b', digest: 'x', expiresAt: START + 20, response: 'of the same span' });
    assert.equal(answer('a', START + 10), 'second');
    assert.equal(answer('b', START + 10), 'of the same span');
  });

  test('tells keys of the same hash apart', () => {
    claims = new ClaimTable(db, () => -7);
    const [one, two] = ['one', 'two'];
    add(one);
    assert.equal(answer(two), undefined);
    add(two);
    assert.deepEqual([answer(one), answer(two)], [`answer to ${one}`, `answer to ${two}`]);
  });

  test('hashes keys by a secret of its own, so that nobody can send keys of one hash', () => {
    const [one, two] = [secretHash(), secretHash()];
    const hashes = ['a', 'b', 'c'].map((key) => [one(key), two(key)]);
    assert.ok(hashes.every(([first, second]) => first !== second));
    assert.equal(one('a'), hashes[0]![0]);
  });

  test('hashes a key once that is looked for and then stored', () => {
    const hashed: string[] = [];
    const hash = secretHash();
    claims = new ClaimTable(db, (key) => {
      hashed.push(key);
      return hash(key);
    });
    for (const key of ['a', 'b']) {
      assert.equal(answer(key), undefined);
      add(key);
    }
    assert.deepEqual(hashed, ['a', 'b']);
    answer('a');
    add('c');
    assert.deepEqual(
      ['a', 'b', 'c'].map((key) => answer(key)),
      ['answer to a', 'answer to b', 'answer to c'],
    );
  });

  test('finds each of thousands in several spans, and after it was opened again', () => {
    const keys = Array.from({ length: 3_000 }, (_, n) => `key ${n}`);
    const expiry = (n: number): number => START + 1 + (n % 3) * CLAIM_SPAN;
    db.exec('BEGIN');
    for (const [n, key] of keys.entries()) add(key, expiry(n));
    db.exec('COMMIT');
    for (let opened = 0; opened < 2; opened += 1) {
      for (const key of keys) assert.equal(answer(key), `answer to ${key}`);
      for (const key of keys) assert.equal(answer(`no ${key}`), undefined);
      claims = new ClaimTable(db);
    }
    add('later');
    assert.equal(answer('later'), 'answer to later');
    assert.equal(count(), keys.length + 1);
  });

  test('has no claim whose transaction was undone, and takes the key again', () => {
    add('before');
    db.exec('BEGIN');
    add('a');
    db.exec('ROLLBACK');
    assert.equal(answer('a'), undefined);
    claims.add({ key: 'a', digest: 'd', expiresAt: START + 1, response: 'second' });
    assert.equal(answer('a'), 'second');
    assert.equal(answer('before'), 'answer to before');
  });

  test('removes claims of spans that are over, at most as many as it is told', () => {
    for (let n = 0; n < 5; n += 1) add(`old ${n}`, START - 1);
    add('expired', START);
    add('new', START + CLAIM_SPAN);
    assert.equal(claims.prune(START - 1, 10), 0);
    assert.equal(claims.prune(START + 1, 3), 3);
    assert.equal(claims.prune(START + 1, 3), 2);
    assert.equal(claims.prune(START + 1, 3), 0);
    assert.equal(count(), 2);
    assert.equal(answer('new'), 'answer to new');
    add('old 1', START + CLAIM_SPAN);
    assert.equal(answer('old 1'), 'answer to old 1');
  });
});
