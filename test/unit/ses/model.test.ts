/** The compact models against the SDKs that are installed: a newer SDK's new operation fails here. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import type { ServiceModel } from '../../../lib/ses/model/form.ts';
import { installedModel, MODELS, written } from '../../../lib/ses/model/generate.ts';
import { complete, differences } from '../../../lib/ses/model/sdk-schema.ts';
import { compact, type PublishedModel } from '../../../lib/ses/model/service-model.ts';

const FOLDER = join(import.meta.dirname, '../../../lib/ses/model');

for (const { file, version, sdk } of MODELS) {
  describe(`the model ${file}`, () => {
    const text = readFileSync(join(FOLDER, file), 'utf8');
    const model = JSON.parse(text) as ServiceModel;

    test(`has the operations and members of ${sdk}: if not, run "npm run ses-model"`, async () => {
      assert.equal(model.version, version);
      assert.deepEqual(differences(model, await installedModel(sdk, version)), []);
    });

    test('is as the generator writes it', async () => {
      assert.equal(written(complete(model, await installedModel(sdk, version))), text);
    });

    test('gets what a newer SDK has: an operation with its shapes, a member of a known shape', async () => {
      const newer = await installedModel(sdk, version);
      const older = structuredClone(model);
      delete older.operations.SendEmail;
      delete older.shapes[older.operations.DeleteConfigurationSet!.input]!.members!.ConfigurationSetName;
      for (const name of ['BehaviorOnMXFailure', 'BehaviorOnMxFailure']) older.shapes[name]?.enum?.pop();
      const found = differences(older, newer);
      assert.ok(found.includes('SendEmail: not in the model'), found.join('\n'));
      assert.ok(found.some((line) => /: the word (UseDefaultValue|USE_DEFAULT_VALUE) is not in/.test(line)));
      assert.ok(found.some((line) => line.endsWith('.ConfigurationSetName: not in the model')));
      assert.deepEqual(differences(complete(older, newer), newer), []);
    });
  });
}

test('a published model is compacted: places, bounds, required members and errors, without documentation', () => {
  const published: PublishedModel & object = {
    metadata: { apiVersion: '2000-01-01', protocol: 'rest-json' },
    operations: {
      PutThing: {
        http: { method: 'PUT', requestUri: '/things/{NAME}' },
        input: { shape: 'PutThingRequest' },
        errors: [{ shape: 'GoneException' }],
      },
      Ping: { http: { method: 'GET', requestUri: '/ping' } },
    },
    shapes: {
      PutThingRequest: {
        type: 'structure',
        required: ['Name'],
        members: {
          Name: { shape: 'Name', location: 'uri', locationName: 'NAME' },
          Sizes: { shape: 'Sizes', location: 'querystring', locationName: 'Sizes' },
          Enabled: { shape: 'Enabled' },
          Note: { shape: 'Text' },
        },
      },
      Name: { type: 'string', min: 1, max: 8, pattern: '[a-z]+' },
      Sizes: { type: 'list', member: { shape: 'Size' } },
      Size: { type: 'string', enum: ['SMALL', 'LARGE'] },
      Enabled: { type: 'boolean' },
      Text: { type: 'string', min: 0 },
      Unused: { type: 'string' },
      GoneException: { type: 'structure', members: {}, error: { code: 'Gone', httpStatusCode: 410 } },
    },
  };
  assert.deepEqual(compact(published), {
    version: '2000-01-01',
    operations: {
      Ping: { method: 'GET', path: '/ping', input: 'Nothing', errors: [] },
      PutThing: {
        method: 'PUT',
        path: '/things/{NAME}',
        input: 'PutThingRequest',
        errors: ['GoneException'],
      },
    },
    errors: { GoneException: { status: 410, code: 'Gone' } },
    shapes: {
      Enabled: { type: 'boolean', primitive: true },
      Name: { type: 'string', min: 1, max: 8, pattern: '[a-z]+' },
      Nothing: { type: 'structure', members: {} },
      PutThingRequest: {
        type: 'structure',
        members: {
          Name: { shape: 'Name', in: 'path', name: 'NAME' },
          Sizes: { shape: 'Sizes', in: 'query' },
          Enabled: 'Enabled',
          Note: 'string',
        },
        required: ['Name'],
      },
      Size: { type: 'string', enum: ['LARGE', 'SMALL'] },
      Sizes: { type: 'list', member: 'Size' },
    },
  });
});
