/** Tags of resources, within the limits that Amazon documents: 50 a resource, keys of 128 and values of 256 characters. */
import { PosternError } from '../errors.ts';

export interface ResourceTag {
  Key: string;
  Value: string;
}

const MAX_TAGS = 50;
const MAX_KEY = 128;
const MAX_VALUE = 256;

/** Tags as they are stored. @throws PosternError `bad_request` for one out of bounds, or a key that is there twice. */
export function checkedTags(tags: ResourceTag[] | undefined): ResourceTag[] | undefined {
  if (tags === undefined) return undefined;
  if (tags.length > MAX_TAGS)
    throw refused(`A resource can have ${MAX_TAGS} tags at most; these are ${tags.length}.`);
  const keys = new Set<string>();
  for (const { Key, Value } of tags) {
    if (Key === '' || Key.length > MAX_KEY)
      throw refused(`The key of a tag has 1 to ${MAX_KEY} characters; one here has ${Key.length}.`);
    if (Value.length > MAX_VALUE)
      throw refused(
        `The value of tag ${JSON.stringify(Key)} has ${Value.length} characters; ${MAX_VALUE} is the most.`,
      );
    if (keys.has(Key)) throw refused(`The tag ${JSON.stringify(Key)} is there twice.`);
    keys.add(Key);
  }
  return tags;
}

function refused(message: string): PosternError {
  return new PosternError('bad_request', message);
}
