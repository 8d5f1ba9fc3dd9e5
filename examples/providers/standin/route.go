package standin

// A Route is a method and a path of one of the APIs, as a pattern of http.ServeMux.
type Route string

// The routes of both providers. PUT /v1/note/audio is known from SOAPNoteAPI's own client
// for the Model Context Protocol.
const (
	AnyRoute Route = "" // for Fail and Count: all requests

	UploadFile          Route = "POST /v1/files"
	ListFiles           Route = "GET /v1/files"
	CountFiles          Route = "GET /v1/files/count"
	GetFile             Route = "GET /v1/files/{id}"
	DeleteFile          Route = "DELETE /v1/files/{id}"
	CreateTranscription Route = "POST /v1/transcriptions"
	ListTranscriptions  Route = "GET /v1/transcriptions"
	CountTranscriptions Route = "GET /v1/transcriptions/count"
	GetTranscription    Route = "GET /v1/transcriptions/{id}"
	GetTranscript       Route = "GET /v1/transcriptions/{id}/transcript"
	DeleteTranscription Route = "DELETE /v1/transcriptions/{id}"

	UploadAudio   Route = "PUT /v1/note/audio"
	GetNoteStatus Route = "GET /v1/audio/status/{id}"
	GetNote       Route = "GET /v1/note/{id}"
)

// soapnote reports whether the route is one of SOAPNoteAPI.
func (r Route) soapnote() bool { return r == UploadAudio || r == GetNoteStatus || r == GetNote }
