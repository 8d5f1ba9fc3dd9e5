package admin

// Media types of answers other than JSON.
const (
	// LinesType is the type of an answer in lines of JSON: a ProgressLine now and then
	// while the work goes on, and the answer itself as the last line.
	LinesType = "application/x-ndjson"

	// BytesType is the type of the copy that a backup returns.
	BytesType = "application/octet-stream"
)

// Progress is the amount of work that is done. Total is 0 if it is not known.
type Progress struct {
	Done  int64 `json:"done"`
	Total int64 `json:"total"`
}

// A ProgressLine is a line of an answer that reports progress.
type ProgressLine struct {
	Progress Progress `json:"progress"`
}

// Compacted is the answer to a compaction: the size of the queue's storage in bytes.
type Compacted struct {
	Before int64 `json:"before"`
	After  int64 `json:"after"`
}

// The header of the answer to a backup.
const (
	// KeyHeader has a value for each key that the copy needs: KeyOption, or the path
	// of a key's file, escaped as a segment of a URL's path.
	KeyHeader = "Scribegate-Key"

	// KeyOption stands for the keys in the configuration.
	KeyOption = "encryption_key"
)
