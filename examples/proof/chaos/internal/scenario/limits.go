package scenario

import "time"

// PromisedRecovery is the promised maximum time from the start of the process to the first delivery.
const PromisedRecovery = 2 * time.Second

// ResumeLimit is the maximum time until accepting resumes, when the queue's file can be written again.
const ResumeLimit = 10 * time.Second

// LongestPause is the maximum time until the first delivery to an upstream that is back. Probes are up
// to a minute apart.
const LongestPause = 75 * time.Second
