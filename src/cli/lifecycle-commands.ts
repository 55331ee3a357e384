/** Commands that start, stop and steer the mail system. */
export const lifecycleCommands = ["start", "start-fg", "stop", "abort", "reload", "flush", "logrotate"] as const;

export type LifecycleCommand = (typeof lifecycleCommands)[number];
