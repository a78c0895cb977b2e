import java.net.URI;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.services.sesv2.SesV2Client;
import software.amazon.awssdk.services.sesv2.model.AlreadyExistsException;

/** SES v2 by the AWS SDK for Java. */
public class Client {
  public static void main(String[] words) {
    try (SesV2Client ses = SesV2Client.builder()
        .region(Region.US_EAST_1)
        .endpointOverride(URI.create(System.getenv("ENDPOINT")))
        .build()) {
      ses.createEmailIdentity(r -> r.emailIdentity("java.example"));
      try {
        ses.createEmailIdentity(r -> r.emailIdentity("java.example"));
        throw new IllegalStateException("AlreadyExistsException was expected");
      } catch (AlreadyExistsException expected) {
        // The error has its own type.
      }
      if (ses.getAccount(r -> {}).sendQuota().maxSendRate() <= 0) throw new IllegalStateException("no quota");
      String id = ses.sendEmail(r -> r
          .fromEmailAddress("a@java.example")
          .destination(d -> d.toAddresses("simple@java.rcpt.example"))
          .content(c -> c.simple(m -> m
              .subject(s -> s.data("Hello"))
              .body(b -> b.text(t -> t.data("Hello")))))
          .emailTags(t -> t.name("campaign").value("spring"))).messageId();
      if (id.length() != 60) throw new IllegalStateException(id);
    }
    System.out.println("[\"simple@java.rcpt.example\"]");
  }
}
