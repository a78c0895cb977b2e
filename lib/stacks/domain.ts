/**
 * A name of your own for the API: a CloudFront distribution in front of its Function URL. It passes requests on
 * as they came, because signatures are over them: raw path and query, every header, no compression; and it keeps
 * nothing, errors included. What it must change, the name in `Host`, it passes beside (lib/http/cloudfront.ts).
 */
import { CfnOutput, Duration, Validations } from 'aws-cdk-lib';
import * as acm from 'aws-cdk-lib/aws-certificatemanager';
import * as cloudfront from 'aws-cdk-lib/aws-cloudfront';
import { FunctionUrlOrigin } from 'aws-cdk-lib/aws-cloudfront-origins';
import type { FunctionUrl } from 'aws-cdk-lib/aws-lambda';
import * as route53 from 'aws-cdk-lib/aws-route53';
import { CloudFrontTarget } from 'aws-cdk-lib/aws-route53-targets';
import { Secret } from 'aws-cdk-lib/aws-secretsmanager';
import { Construct } from 'constructs';
import { FRONT_FUNCTION, FRONT_SECRET } from '../http/cloudfront.ts';
import type { CustomDomain } from './stage.ts';

/** Errors that CloudFront caches for ten seconds by default (CloudFront developer guide). */
const KEPT_ERRORS = [404, 405, 414, 500, 501, 502, 503, 504];
/** Longer than the time limit of the function behind it. */
const ANSWER = Duration.seconds(35);

/** The secret between distribution and API, made at deployment: a reference, which only CloudFormation resolves. */
export function frontSecret(scope: Construct): string {
  const secret = new Secret(scope, 'FrontSecret', {
    description: 'Postern: proves to the API that a request came by its distribution',
    generateSecretString: { passwordLength: 43, excludePunctuation: true },
  });
  Validations.of(secret).acknowledge({
    id: 'AwsSolutions-SMG4',
    reason:
      'It vouches for a host name and an address, and opens nothing: calls are signed with other keys. Distribution and function must change it in one deployment.',
  });
  return secret.secretValue.unsafeUnwrap();
}

export interface ApiDomainProps {
  domain: CustomDomain;
  url: FunctionUrl;
  /** As `frontSecret` made it; the function behind the URL has the same. */
  secret: string;
}

export class ApiDomain extends Construct {
  constructor(scope: Construct, id: string, { domain, url, secret }: ApiDomainProps) {
    super(scope, id);
    const viewerRequest = new cloudfront.Function(this, 'ViewerRequest', {
      code: cloudfront.FunctionCode.fromInline(FRONT_FUNCTION),
      runtime: cloudfront.FunctionRuntime.JS_2_0,
      comment: 'Postern: passes the name and the address of the caller on',
    });
    const distribution = new cloudfront.Distribution(this, 'Distribution', {
      comment: `Postern: ${domain.name}`,
      domainNames: [domain.name],
      certificate: acm.Certificate.fromCertificateArn(this, 'Certificate', domain.certificate),
      minimumProtocolVersion: cloudfront.SecurityPolicyProtocol.TLS_V1_2_2021,
      // Applications call it from servers: the cheap locations are near enough.
      priceClass: cloudfront.PriceClass.PRICE_CLASS_100,
      defaultBehavior: {
        origin: new FunctionUrlOrigin(url, {
          customHeaders: { [FRONT_SECRET]: secret },
          readTimeout: ANSWER,
        }),
        allowedMethods: cloudfront.AllowedMethods.ALLOW_ALL,
        // A redirect would send the signature in clear first, and break it afterwards.
        viewerProtocolPolicy: cloudfront.ViewerProtocolPolicy.HTTPS_ONLY,
        cachePolicy: cloudfront.CachePolicy.CACHING_DISABLED,
        // With caching off it passes `Authorization` too.
        originRequestPolicy: cloudfront.OriginRequestPolicy.ALL_VIEWER_EXCEPT_HOST_HEADER,
        compress: false,
        functionAssociations: [
          { function: viewerRequest, eventType: cloudfront.FunctionEventType.VIEWER_REQUEST },
        ],
      },
      errorResponses: KEPT_ERRORS.map((httpStatus) => ({ httpStatus, ttl: Duration.seconds(0) })),
    });
    for (const [rule, reason] of Object.entries({
      CFR1: 'Who may call is decided by signatures, wherever the caller is.',
      CFR2: 'A call with an unknown key, a time that is over or another scope is refused before its body is hashed, one with a wrong signature before it is parsed, and the concurrency of the function bounds the rest.',
      CFR3: 'Errors are in the log of the function, what was taken in is in the records; a log of every request would cost more than the request.',
    })) {
      Validations.of(distribution).acknowledge({ id: `AwsSolutions-${rule}`, reason });
    }
    this.#record(domain, distribution);
  }

  #record({ name, hostedZone }: CustomDomain, distribution: cloudfront.Distribution): void {
    if (!hostedZone) {
      new CfnOutput(this, 'Record', {
        value: `${name}. CNAME ${distribution.distributionDomainName}.`,
        description: 'Publish this record to make the name known',
      });
      return;
    }
    const zone = route53.HostedZone.fromHostedZoneAttributes(this, 'Zone', {
      hostedZoneId: hostedZone.id,
      zoneName: hostedZone.name,
    });
    const record = {
      zone,
      recordName: name,
      target: route53.RecordTarget.fromAlias(new CloudFrontTarget(distribution)),
    };
    new route53.ARecord(this, 'A', record);
    new route53.AaaaRecord(this, 'AAAA', record);
  }
}
