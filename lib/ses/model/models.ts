/** The models of both versions of SES. */
import type { ServiceModel } from './form.ts';
import v2 from './v2.json' with { type: 'json' };

export const SES_V2 = v2 as unknown as ServiceModel;
