/**
 * The endpoint of unsubscribe links, beside those of opens and clicks.
 *
 * ```
 *  POST ─► link sealed here? ─► report ─► 200 once it is durable     (the mail program's own button: RFC 8058 §3.2)
 *            └─ no: 404            └─ fails: 503, to be tried again
 *  GET  ─► a page with a button that posts. It changes nothing: scanners follow links
 * ```
 * A message of a contact list has the list's topics on its page, and a POST of that form reports what was chosen. Any
 * other POST, whatever its body, unsubscribes: the link names all there is to do, and mail programs differ in what they
 * send. Where the list cannot be read, the page has the one button.
 */
import { type Contact, chosen } from '../contacts/contact.ts';
import type { ContactList } from '../contacts/contact-list.ts';
import type { Contacts } from '../contacts/contacts.ts';
import type { RequestHead } from '../http/raw-request.ts';
import { headerOf } from '../http/raw-request.ts';
import type { ReaderChoices } from '../outcome/details.ts';
import type { Unsubscription } from '../tracking/unsubscribe-links.ts';
import { escapeHtml, pageOf } from './page.ts';
import { type PreferenceTexts, textsFor } from './preference-texts.ts';

export interface UnsubscribePage {
  /** Of the lists that pages show; absent: they have the one button. */
  contacts?: Pick<Contacts, 'lookUp'>;
  /** The body of the request; empty when it cannot be read. */
  body(): Promise<string>;
  /** Durable when it resolves. @param choices in place of leaving. */
  act(choices?: ReaderChoices): Promise<void>;
}

/** Answers a request for a sealed link. */
export async function answerUnsubscribe(
  head: Pick<RequestHead, 'method' | 'headers'>,
  unsubscription: Unsubscription,
  { contacts, body, act }: UnsubscribePage,
): Promise<Response> {
  const { language, texts } = textsFor(headerOf(head as RequestHead, 'accept-language'));
  const page = (status: number, content: string, headers?: Record<string, string>): Response =>
    pageOf(language, texts.title, status, content, headers);
  if (head.method === 'GET' || head.method === 'HEAD') {
    const shown = await choicesOf(unsubscription, contacts);
    return page(200, shown ? choicePage(shown, texts) : askPage(unsubscription, texts));
  }
  if (head.method !== 'POST') {
    return page(405, 'Only GET and POST are answered here.', { allow: 'GET, HEAD, POST' });
  }
  const choices = unsubscription.contactList === undefined ? undefined : choicesIn(await body());
  try {
    await act(choices);
  } catch {
    return page(503, `<p role="alert">${escapeHtml(texts.failed)}</p>`, { 'retry-after': '60' });
  }
  const done = choices ? texts.saved : filled(texts.unsubscribed, { address: unsubscription.address });
  return page(200, `<p role="status">${escapeHtml(done)}</p>`);
}

interface ReaderContact {
  address: string;
  list: ContactList;
  contact: Pick<Contact, 'unsubscribeAll' | 'topics'>;
}

async function choicesOf(
  { tenant, contactList, address }: Unsubscription,
  contacts: UnsubscribePage['contacts'],
): Promise<ReaderContact | undefined> {
  if (contactList === undefined || !contacts) return undefined;
  try {
    const { list, contacts: found } = await contacts.lookUp(tenant, contactList, [address]);
    return { address, list, contact: found[0] ?? { unsubscribeAll: false, topics: {} } };
  } catch {
    // The list is gone, or the store does not answer: the reader can leave all the same.
    return undefined;
  }
}

function choicePage({ address, list, contact }: ReaderContact, texts: PreferenceTexts): string {
  const made = new Map(chosen(list, contact).map(({ topic, status }) => [topic, status]));
  const boxes = list.topics.map(({ name, displayName, description, defaultStatus }) => {
    const on = !contact.unsubscribeAll && (made.get(name) ?? defaultStatus) === 'OPT_IN';
    const about = description ? `<br><small id="about-${name}">${escapeHtml(description)}</small>` : '';
    const described = description ? ` aria-describedby="about-${name}"` : '';
    return (
      `<p><input type="hidden" name="shown" value="${name}">` +
      `<label><input type="checkbox" name="topic" value="${name}"${on ? ' checked' : ''}${described}> ` +
      `${escapeHtml(displayName)}</label>${about}</p>`
    );
  });
  const topics =
    boxes.length > 0
      ? `<fieldset><legend>${escapeHtml(texts.topics)}</legend>${boxes.join('')}</fieldset>`
      : '';
  const about = list.description ? `<p>${escapeHtml(list.description)}</p>` : '';
  return (
    `<h1>${escapeHtml(texts.title)}</h1>${about}<p>${escapeHtml(texts.intro)} <strong>${escapeHtml(address)}</strong>?</p>` +
    `<form method="post"><input type="hidden" name="preferences" value="1">${topics}` +
    `<p><label><input type="checkbox" name="all" value="1"${contact.unsubscribeAll ? ' checked' : ''}> ` +
    `${escapeHtml(texts.all)}</label></p><button type="submit">${escapeHtml(texts.save)}</button></form>`
  );
}

/** Topics of a list, at most (SES). */
const MAX_TOPICS = 20;

/** What the form of `choicePage` says; undefined for any other body. Topics that no list has change nothing later. */
function choicesIn(body: string): ReaderChoices | undefined {
  const form = new URLSearchParams(body);
  if (form.get('preferences') !== '1') return undefined;
  const on = new Set(form.getAll('topic'));
  const topics = form
    .getAll('shown')
    .slice(0, MAX_TOPICS)
    .filter((name) => /^[A-Za-z0-9_-]{1,64}$/.test(name))
    .map((name) => [name, on.has(name) ? 'OPT_IN' : 'OPT_OUT'] as const);
  return { unsubscribeAll: form.get('all') === '1', topics: Object.fromEntries(topics) };
}

function askPage({ address, contactList, topic }: Unsubscription, texts: PreferenceTexts): string {
  const from = topic ?? contactList;
  const question = filled(texts.ask, { address, from: from === undefined ? texts.thisMail : `“${from}”` });
  return (
    `<p>${escapeHtml(question)}</p>` +
    '<form method="post"><input type="hidden" name="List-Unsubscribe" value="One-Click">' +
    `<button type="submit">${escapeHtml(texts.unsubscribe)}</button></form>`
  );
}

function filled(text: string, values: Record<string, string>): string {
  return text.replace(/\{(\w+)\}/g, (_, name: string) => values[name] ?? '');
}
