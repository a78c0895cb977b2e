/** Ports of the submission service on AWS, for its process and for the load balancer in front of it. */

/** STARTTLS (RFC 6409 §3.1). */
export const STARTTLS = 587;
/** TLS from the first byte (RFC 8314 §3.3). */
export const TLS = 465;
/** `/healthz` for the load balancer. */
export const HEALTH = 8025;
