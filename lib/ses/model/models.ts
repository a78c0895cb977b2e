/** The model of SES v2. That of v1 is in a file of its own (v1-model.ts), which is loaded when v1 is called. */
import type { ServiceModel } from './form.ts';
import v2 from './v2.json' with { type: 'json' };

/** Members that SES itself reads looser than its model has them, with the shape that it reads. Handlers hold the rest. */
const LOOSER: Readonly<Record<string, Record<string, string>>> = {
  // "Reason X is invalid, must be one of [BOUNCE, COMPLAINT]."
  PutConfigurationSetSuppressionOptionsRequest: { SuppressedReasons: 'EmailAddressList' },
};

function loosened(model: ServiceModel): ServiceModel {
  const shapes = { ...model.shapes };
  for (const [name, members] of Object.entries(LOOSER))
    shapes[name] = { ...shapes[name]!, members: { ...shapes[name]!.members, ...members } };
  return { ...model, shapes };
}

export const SES_V2 = loosened(v2 as unknown as ServiceModel);
