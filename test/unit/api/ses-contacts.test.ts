/** Contact lists and contacts of SES v2 with Amazon's SDK, as they were recorded at Amazon. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import {
  AlreadyExistsException,
  BadRequestException,
  CreateContactCommand,
  type CreateContactCommandInput,
  CreateContactListCommand,
  DeleteContactCommand,
  DeleteContactListCommand,
  GetContactCommand,
  GetContactListCommand,
  ListContactListsCommand,
  ListContactsCommand,
  type ListContactsCommandInput,
  NotFoundException,
  paginateListContacts,
  type SESv2Client,
  type Topic,
  UpdateContactCommand,
  UpdateContactListCommand,
} from '@aws-sdk/client-sesv2';
import { openMemory } from '../../../lib/engine/memory/open.ts';
import { TestClock } from '../../support/clock.ts';
import { type SesServer, startSesServer, USER } from '../../support/ses-server.ts';

const ContactListName = 'news';
const Topics: Topic[] = [
  { TopicName: 'weekly', DisplayName: 'Weekly', DefaultSubscriptionStatus: 'OPT_IN', Description: 'digest' },
  { TopicName: 'promos', DisplayName: 'Promotions', DefaultSubscriptionStatus: 'OPT_OUT' },
];

let server: SesServer;
let client: SESv2Client;
before(async () => {
  const clock = new TestClock(Date.now());
  server = await startSesServer({ rows: openMemory({ clock }).rows });
  client = server.client();
});
after(() => server.close());
beforeEach(async () => {
  await client.send(new DeleteContactListCommand({ ContactListName })).catch(() => {});
  await client.send(
    new CreateContactListCommand({
      ContactListName,
      Topics,
      Description: 'Ours',
      Tags: [{ Key: 'a', Value: 'b' }],
    }),
  );
});

const create = (EmailAddress: string, input: Partial<CreateContactCommandInput> = {}) =>
  client.send(new CreateContactCommand({ ContactListName, EmailAddress, ...input }));
const get = async (EmailAddress: string) => {
  const { $metadata: _, ...contact } = await client.send(
    new GetContactCommand({ ContactListName, EmailAddress }),
  );
  return contact;
};
const list = async (input: Partial<ListContactsCommandInput> = {}) =>
  client.send(new ListContactsCommand({ ContactListName, ...input }));

function refused(kind: new (...args: never[]) => Error, message: string) {
  return (error: unknown): boolean => {
    assert.ok(error instanceof kind, String(error));
    assert.equal(error.message, message);
    return true;
  };
}

describe('contact lists', () => {
  test('are made, shown, changed and deleted', async () => {
    const {
      $metadata: _,
      CreatedTimestamp,
      LastUpdatedTimestamp,
      ...shown
    } = await client.send(new GetContactListCommand({ ContactListName }));
    assert.deepEqual(shown, {
      ContactListName,
      Topics,
      Description: 'Ours',
      Tags: [{ Key: 'a', Value: 'b' }],
    });
    assert.ok(CreatedTimestamp instanceof Date && LastUpdatedTimestamp instanceof Date);
    const { ContactLists } = await client.send(new ListContactListsCommand({}));
    assert.deepEqual(
      ContactLists!.map((one) => one.ContactListName),
      [ContactListName],
    );
    await client.send(new UpdateContactListCommand({ ContactListName, Description: 'new' }));
    const changed = await client.send(new GetContactListCommand({ ContactListName }));
    assert.deepEqual([changed.Description, changed.Topics!.length], ['new', 2]);
    await client.send(new UpdateContactListCommand({ ContactListName, Topics: Topics.slice(0, 1) }));
    assert.equal((await client.send(new GetContactListCommand({ ContactListName }))).Topics!.length, 1);
    const user = server.client({ credentials: { accessKeyId: USER.id, secretAccessKey: USER.secret } });
    assert.deepEqual((await user.send(new ListContactListsCommand({}))).ContactLists, []);
  });

  test("fail in SES's words", async () => {
    const make = (input: object) =>
      client.send(new CreateContactListCommand({ ContactListName: 'x', ...input }));
    const topic = (TopicName: string): Topic => ({ ...Topics[0]!, TopicName });
    await assert.rejects(make({}), refused(BadRequestException, 'A maximum of 1 Lists allowed per account.'));
    const none = new GetContactListCommand({ ContactListName: 'none' });
    await assert.rejects(
      client.send(none),
      refused(NotFoundException, "List with name: none doesn't exist."),
    );
    for (const [input, message] of [
      [
        { ContactListName: 'bad name!' },
        'ContactListName can contain up to 64 characters. Only alphanumeric characters, underscores(_) and hyphens(-) are allowed.',
      ],
      [{ Description: 'a'.repeat(501) }, 'List description can contain up to 500 characters.'],
      [
        { Topics: Array.from({ length: 21 }, (_, n) => topic(`t${n}`)) },
        'Maximum of <20> topics allowed per ContactList',
      ],
      [{ Topics: [topic('x'), topic('x')] }, 'Duplicate topic names are not allowed within a List.'],
      [
        { Topics: [{ ...topic('x'), DisplayName: 'a'.repeat(129) }] },
        'Topic DisplayName can contain up to <128> characters.',
      ],
    ] as const) {
      await assert.rejects(make(input as object), refused(BadRequestException, message));
    }
    await assert.rejects(make({ Topics: [{ ...topic('x'), DefaultSubscriptionStatus: 'MAYBE' }] }), {
      name: 'BadRequestException',
      message:
        /'topics\.1\.member\.defaultSubscriptionStatus' failed to satisfy constraint: Member must satisfy enum value set/,
    });
  });
});

describe('contacts', () => {
  test('are made, shown, updated and deleted', async () => {
    await create('alice@example.com', {
      TopicPreferences: [{ TopicName: 'weekly', SubscriptionStatus: 'OPT_OUT' }],
      AttributesData: '{"name":"Alice"}',
      UnsubscribeAll: false,
    });
    const { CreatedTimestamp, LastUpdatedTimestamp, ...alice } = await get('alice@example.com');
    assert.deepEqual(alice, {
      ContactListName,
      EmailAddress: 'alice@example.com',
      TopicPreferences: [{ TopicName: 'weekly', SubscriptionStatus: 'OPT_OUT' }],
      TopicDefaultPreferences: [{ TopicName: 'promos', SubscriptionStatus: 'OPT_OUT' }],
      UnsubscribeAll: false,
      AttributesData: '{"name":"Alice"}',
    });
    assert.ok(CreatedTimestamp instanceof Date && LastUpdatedTimestamp instanceof Date);
    const update = (input: object) =>
      client.send(new UpdateContactCommand({ ContactListName, EmailAddress: 'alice@example.com', ...input }));
    await update({ UnsubscribeAll: true });
    const left = await get('alice@example.com');
    assert.deepEqual(
      [left.UnsubscribeAll, left.AttributesData, left.TopicPreferences!.length],
      [true, undefined, 1],
    );
    await update({ TopicPreferences: [{ TopicName: 'promos', SubscriptionStatus: 'OPT_IN' }] });
    const both = await get('alice@example.com');
    assert.deepEqual([both.TopicPreferences!.length, both.TopicDefaultPreferences], [2, []]);
    const [listed] = (await list()).Contacts!;
    assert.deepEqual(Object.keys(listed!).sort(), [
      'EmailAddress',
      'LastUpdatedTimestamp',
      'TopicDefaultPreferences',
      'TopicPreferences',
      'UnsubscribeAll',
    ]);
    await client.send(new DeleteContactCommand({ ContactListName, EmailAddress: 'alice@example.com' }));
    const missing = refused(NotFoundException, "alice@example.com doesn't exist in List.");
    await assert.rejects(get('alice@example.com'), missing);
  });

  test("fail in SES's words", async () => {
    await create('ann@example.com');
    const exists = refused(AlreadyExistsException, 'ann@example.com already exists in List.');
    await assert.rejects(create('ann@example.com'), exists);
    const prefer = (TopicName: string) => ({
      TopicPreferences: [{ TopicName, SubscriptionStatus: 'OPT_IN' as const }],
    });
    await assert.rejects(
      create('b@example.com', prefer('nope')),
      refused(BadRequestException, "List: news doesn't contain Topic: nope"),
    );
    await assert.rejects(
      create('not-an-email'),
      refused(BadRequestException, 'EmailAddress <not-an-email> is invalid'),
    );
    await assert.rejects(
      get('not-an-email'),
      refused(BadRequestException, 'EmailAddress <not-an-email> is invalid'),
    );
    const elsewhere = create('b@example.com', { ContactListName: 'none' });
    await assert.rejects(elsewhere, refused(NotFoundException, "List with name: none doesn't exist."));
  });

  test('are listed by filter and in pages', async () => {
    const names = Array.from({ length: 7 }, (_, n) => `c${n}@example.com`);
    for (const [n, name] of names.entries()) await create(name, { UnsubscribeAll: n % 2 === 1 });
    const of = async (input: Partial<ListContactsCommandInput>) =>
      (await list(input)).Contacts!.map(({ EmailAddress }) => EmailAddress![1]).join('');
    assert.equal(await of({ Filter: { FilteredStatus: 'OPT_OUT' } }), '135');
    const TopicFilter = { TopicName: 'weekly', UseDefaultIfPreferenceUnavailable: true };
    assert.equal(await of({ Filter: { FilteredStatus: 'OPT_IN', TopicFilter } }), '0246');
    const seen: string[] = [];
    for await (const { Contacts } of paginateListContacts({ client, pageSize: 2 }, { ContactListName }))
      seen.push(...Contacts!.map(({ EmailAddress }) => EmailAddress!));
    assert.deepEqual(seen, names);
    for (const [input, message] of [
      [{ PageSize: 0 }, 'The page size must be between 1 and 1000'],
      [{ PageSize: 1001 }, 'The page size must be between 1 and 1000'],
      [{ NextToken: 'garbage' }, 'Provided NextToken is invalid'],
      [{ Filter: { TopicFilter: { TopicName: 'weekly' } } }, 'Invalid FilteredStatus <null>'],
      [{ Filter: { FilteredStatus: 'OPT_IN', TopicFilter: {} } }, "TopicName can't be blank in TopicFilter."],
    ] as const) {
      await assert.rejects(list(input), refused(BadRequestException, message));
    }
    const nope = list({ Filter: { FilteredStatus: 'OPT_IN', TopicFilter: { TopicName: 'nope' } } });
    await assert.rejects(nope, refused(NotFoundException, "List: news doesn't contain Topic: nope"));
  });
});
