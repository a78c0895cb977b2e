import assert from 'node:assert/strict';
import { afterEach, describe, test } from 'node:test';
import { once } from '../../functions/once.ts';

describe('a dependency of a function', () => {
  afterEach(() => {
    delete process.env.AWS_LAMBDA_FUNCTION_NAME;
  });

  test('is open on Lambda when the import ends, and opened once', async () => {
    process.env.AWS_LAMBDA_FUNCTION_NAME = 'api';
    let opened = 0;
    const get = await once(async () => {
      await new Promise(setImmediate);
      return ++opened;
    });
    assert.equal(opened, 1);
    assert.deepEqual(await Promise.all([get(), get()]), [1, 1]);
  });

  test('is opened elsewhere by its first use', async () => {
    let opened = 0;
    const get = await once(async () => ++opened);
    assert.equal(opened, 0);
    assert.equal(await get(), 1);
  });

  test('is opened by the next call after a failure in the import', async () => {
    process.env.AWS_LAMBDA_FUNCTION_NAME = 'api';
    let tries = 0;
    const get = await once(async () => {
      if (++tries === 1) throw new Error('no secret yet');
      return tries;
    });
    assert.equal(tries, 1);
    assert.equal(await get(), 2);
  });
});
