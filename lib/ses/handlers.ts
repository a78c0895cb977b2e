/** The table of supported operations and their handlers. */
import * as account from './account.ts';
import * as sets from './configuration-sets.ts';
import * as dedicated from './dedicated-ips.ts';
import * as eventDestinations from './event-destinations.ts';
import * as identities from './identities.ts';
import type { Operation } from './operation.ts';
import { sendBulkEmail } from './send-bulk-email.ts';
import { sendEmail } from './send-email.ts';
import * as suppression from './suppression.ts';
import * as templates from './templates.ts';

export const HANDLERS: ReadonlyMap<string, Operation<unknown>> = new Map(
  Object.entries({
    SendEmail: sendEmail,
    SendBulkEmail: sendBulkEmail,

    CreateEmailIdentity: identities.create,
    GetEmailIdentity: identities.get,
    ListEmailIdentities: identities.list,
    DeleteEmailIdentity: identities.remove,
    PutEmailIdentityDkimAttributes: identities.putDkim,
    PutEmailIdentityDkimSigningAttributes: identities.putDkimSigning,
    PutEmailIdentityMailFromAttributes: identities.putMailFrom,
    PutEmailIdentityFeedbackAttributes: identities.putFeedback,
    PutEmailIdentityConfigurationSetAttributes: identities.putConfigurationSet,

    CreateEmailTemplate: templates.create,
    GetEmailTemplate: templates.get,
    ListEmailTemplates: templates.list,
    UpdateEmailTemplate: templates.update,
    DeleteEmailTemplate: templates.remove,
    TestRenderEmailTemplate: templates.testRender,

    CreateConfigurationSet: sets.create,
    GetConfigurationSet: sets.get,
    ListConfigurationSets: sets.list,
    DeleteConfigurationSet: sets.remove,
    PutConfigurationSetDeliveryOptions: sets.putDelivery,
    PutConfigurationSetTrackingOptions: sets.putTracking,
    PutConfigurationSetSendingOptions: sets.putSending,
    PutConfigurationSetReputationOptions: sets.putReputation,
    PutConfigurationSetSuppressionOptions: sets.putSuppression,

    CreateConfigurationSetEventDestination: eventDestinations.create,
    UpdateConfigurationSetEventDestination: eventDestinations.update,
    DeleteConfigurationSetEventDestination: eventDestinations.remove,
    GetConfigurationSetEventDestinations: eventDestinations.listOfSet,

    GetDedicatedIp: dedicated.getIp,
    GetDedicatedIps: dedicated.listIps,
    PutDedicatedIpInPool: dedicated.putIpInPool,
    PutDedicatedIpWarmupAttributes: dedicated.putIpWarmup,
    PutAccountDedicatedIpWarmupAttributes: dedicated.putAccountWarmup,
    CreateDedicatedIpPool: dedicated.createPool,
    GetDedicatedIpPool: dedicated.getPool,
    ListDedicatedIpPools: dedicated.listPools,
    DeleteDedicatedIpPool: dedicated.removePool,
    PutDedicatedIpPoolScalingAttributes: dedicated.putPoolScaling,

    GetAccount: account.get,
    PutAccountSendingAttributes: account.putSending,
    PutAccountSuppressionAttributes: account.putSuppression,

    PutSuppressedDestination: suppression.put,
    GetSuppressedDestination: suppression.get,
    DeleteSuppressedDestination: suppression.remove,
    ListSuppressedDestinations: suppression.list,
  }),
);
