package admin

// The providers that a recovery can ask.
const (
	RecoverSoniox      = "soniox"
	RecoverSOAPNoteAPI = "soapnoteapi"
)

// A RecoverRequest is the body of a recovery: it asks a provider's REST API for the results
// whose webhooks never arrived. With Prune it deletes finished transcriptions at Soniox
// instead.
type RecoverRequest struct {
	Provider string   `json:"provider"`
	Source   string   `json:"source,omitempty"`  // of the handler; needed if several of the provider have an api_key
	IDs      []string `json:"ids,omitempty"`     // of notes; SOAPNoteAPI only
	Since    *string  `json:"since,omitempty"`   // created within this duration; Soniox only
	Prune    *string  `json:"prune,omitempty"`   // created longer ago than this duration; Soniox only
	Force    bool     `json:"force,omitempty"`   // also notes that the store knows, and times before its history
	DryRun   bool     `json:"dry_run,omitempty"` // changes nothing; Soniox only
}

// Recovered is the answer to a recovery. It has the ids of transcriptions or notes.
type Recovered struct {
	Recovered []string         `json:"recovered"` // stored
	Known     []string         `json:"known"`     // left alone: the store has the event or, in a prune, waits for something of it
	Failed    []RecoverFailure `json:"failed"`
	Pruned    []string         `json:"pruned,omitempty"` // deleted at the provider
}

// A RecoverFailure is a result that was not recovered, and the reason.
type RecoverFailure struct {
	ID     string `json:"id"`
	Reason string `json:"reason"`
}
