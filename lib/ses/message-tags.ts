/** Message tags of a call, checked in the words of SES. */
import { PosternError } from '../errors.ts';

/** A tag as a caller gives it. */
export interface GivenTag {
  Name: string;
  Value: string;
}

const MAX_TAGS = 50;
const MAX_LENGTH = 255;
/** Of names with a colon only the two that fill the Feedback-ID. */
const NAME = /^(?:[A-Za-z0-9_-]+|ses:feedback-id-[ab])$/;
const VALUE = /^[A-Za-z0-9_.@-]+$/;
const MAX_SHOWN = 80;

/** @throws PosternError `bad_request`. */
export function messageTags(tags: GivenTag[] = []): { name: string; value: string }[] {
  if (tags.length > MAX_TAGS) throw refused(`A message can have ${MAX_TAGS} tags at most.`);
  for (const { Name, Value } of tags) {
    if (Name === '') throw refused('The tag name must be specified.');
    if (Name.length > MAX_LENGTH) throw refused(`Tag name cannot exceed ${MAX_LENGTH} characters.`);
    if (!NAME.test(Name))
      throw refused(
        `Invalid tag name <${shown(Name)}>: only alphanumeric ASCII characters, '_',  '-' are allowed.`,
      );
    if (Value === '') throw refused('The tag value must be specified.');
    if (Value.length > MAX_LENGTH) throw refused(`Tag value cannot exceed ${MAX_LENGTH} characters.`);
    if (!VALUE.test(Value))
      throw refused(
        `Invalid tag value <${shown(Value)}>: only alphanumeric ASCII characters, '_',  '-' , '.', '@' are allowed.`,
      );
  }
  return tags.map(({ Name: name, Value: value }) => ({ name, value }));
}

function shown(text: string): string {
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text;
}

function refused(message: string): PosternError {
  return new PosternError('bad_request', message);
}
