package standin

import (
	"cmp"
	"time"
)

// The keys of a Server without Options.SonioxKeys and Options.SOAPNoteKeys.
const (
	SonioxKey   = "snx_standin"
	SOAPNoteKey = "snapi_sk_test_standin"
)

// Options are the settings of a Server. The zero value is useful.
type Options struct {
	SonioxKeys   []Key    // default: SonioxKey, of the project "", which may write
	SOAPNoteKeys []string // default: SOAPNoteKey

	// ProcessingDelay is the time from the creation of a transcription or a note until it
	// is finished and its webhook is sent.
	ProcessingDelay time.Duration
	// WebhookRetries are the waits before Soniox's webhook is sent again while no 2xx
	// answers it. The default is 1s, 2s, 4s.
	WebhookRetries []time.Duration

	// The limits of Soniox's organization, beyond which creating fails with 429. The
	// defaults are 2,000, 100 and 1,000.
	MaxTranscriptions, MaxPending, MaxFiles int
	// Playground is the number of transcriptions, and also of files, in Soniox's
	// playground. They count for the limits and are in no list.
	Playground int
	// Exhausted makes creating a transcription fail with 402. It is the error type:
	// organization_balance_exhausted, organization_monthly_budget_exhausted or
	// project_monthly_budget_exhausted.
	Exhausted string
	// OldestFirst reverses the order of Soniox's lists.
	OldestFirst bool
	// DeleteFiles makes the deletion of a transcription delete its file too, as Soniox
	// documents it.
	DeleteFiles bool

	// NoteWebhook is the URL that SOAPNoteAPI sends its webhooks to. Without it none is
	// sent.
	NoteWebhook string
	// NoteSecret signs SOAPNoteAPI's webhooks. The key is the whole string, whsec_ included.
	NoteSecret string

	// Now returns the time of new transcriptions, files and requests, and the one at which
	// notes expire. The default is time.Now.
	Now func() time.Time
	// Log receives, also concurrently, a line for each request that was answered and each webhook that was
	// sent, without query strings and contents. The default is to log nothing.
	Log func(format string, args ...any)
}

// A Key is an API key of Soniox.
type Key struct {
	Value string
	// Project is the project of the key. A key sees the transcriptions and files of its
	// own project only.
	Project string
	// ReadOnly keys can neither create nor delete anything.
	ReadOnly bool
}

func (o Options) withDefaults() Options {
	if len(o.SonioxKeys) == 0 {
		o.SonioxKeys = []Key{{Value: SonioxKey}}
	}
	if len(o.SOAPNoteKeys) == 0 {
		o.SOAPNoteKeys = []string{SOAPNoteKey}
	}
	if o.WebhookRetries == nil {
		o.WebhookRetries = []time.Duration{time.Second, 2 * time.Second, 4 * time.Second}
	}
	o.MaxTranscriptions = cmp.Or(o.MaxTranscriptions, 2000)
	o.MaxPending = cmp.Or(o.MaxPending, 100)
	o.MaxFiles = cmp.Or(o.MaxFiles, 1000)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = func(string, ...any) {}
	}
	return o
}
