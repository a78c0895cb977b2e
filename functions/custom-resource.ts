/**
 * Answers CloudFormation, which waits for a function's reply (CloudFormation user guide, "Custom resource request").
 */
import type { CloudFormationCustomResourceEvent } from 'aws-lambda';

/** Maximum length of a reason that CloudFormation shows, characters. */
const MAX_REASON = 1_000;

/**
 * Does the work and answers with its result; a failure fails the deployment with its reason.
 * @param id of the resource; one that changes makes CloudFormation delete the old one.
 */
export async function answerDeployment(
  event: CloudFormationCustomResourceEvent,
  id: string,
  work: () => Promise<void>,
): Promise<void> {
  let failure: Error | undefined;
  try {
    await work();
  } catch (error) {
    failure = error as Error;
  }
  const { StackId, RequestId, LogicalResourceId } = event;
  const body = JSON.stringify({
    Status: failure ? 'FAILED' : 'SUCCESS',
    ...(failure && { Reason: failure.message.slice(0, MAX_REASON) }),
    PhysicalResourceId: id,
    StackId,
    RequestId,
    LogicalResourceId,
  });
  // Without a content type, because the signature of the URL covers none.
  const response = await fetch(event.ResponseURL, { method: 'PUT', body: Buffer.from(body) });
  if (!response.ok) throw new Error(`CloudFormation does not take the answer: ${response.status}`);
}
