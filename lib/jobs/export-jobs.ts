/**
 * Exports as jobs: what is asked for, and where each stands.
 *
 * ```
 *  CREATED ─► PROCESSING ─► COMPLETED   the file is there, whole
 *      │           ├──────► FAILED
 *      └───────────┴──────► CANCELLED   by a call; there is no file
 * ```
 */
import type { StoredJob } from '../contacts/transfer/job-rows.ts';

export type ExportFormat = 'CSV' | 'JSON';
export type ExportDimension = 'EMAIL_IDENTITY' | 'CONFIGURATION_SET' | 'ISP';

export interface MetricsSource {
  kind: 'metrics';
  /** Values of each dimension; `*` stands for each that had mail, of tenants for the one that orders. */
  dimensions: Partial<Record<ExportDimension | 'TENANT_NAME', readonly string[]>>;
  metrics: readonly { name: string; aggregation: 'VOLUME' | 'RATE' }[];
  from: number;
  before: number;
}

/** Deliveries that agree in every given member, with any value of it. */
export interface MessageFilters {
  from?: readonly string[];
  destination?: readonly string[];
  subject?: readonly string[];
  isp?: readonly string[];
  tenant?: readonly string[];
  lastDelivery?: readonly string[];
  lastEngagement?: readonly string[];
}

export interface MessagesSource {
  kind: 'messages';
  from: number;
  before: number;
  include?: MessageFilters;
  exclude?: MessageFilters;
  /** Rows of the file, at most. */
  max: number;
}

export interface ExportJob extends StoredJob {
  source: MetricsSource | MessagesSource;
  format: ExportFormat;
  /** Where the file is written; absent: among the results. */
  url?: string;
  /** Records that were looked at, and that are in the file. */
  processed: number;
  exported: number;
  /** Times that it was begun: a file is written whole or not at all. */
  begun: number;
}
