/** The model of SES v1. */
import type { ServiceModel } from './form.ts';
import v1 from './v1.json' with { type: 'json' };

export const SES_V1 = v1 as unknown as ServiceModel;
