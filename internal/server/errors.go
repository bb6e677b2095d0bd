package server

// ErrorDoc says what a code of a problem means and what to do about it.
type ErrorDoc struct {
	Code   string
	Status int // that it comes with
	Means  string
	Do     string
}

// ErrorDocs lists every code that a problem can have, in the order of their status.
func ErrorDocs() []ErrorDoc { return errorDocs }

var errorDocs = []ErrorDoc{
	{"bad-request", 400, "A field or a parameter is missing, is not one of those that the path takes, or has a value that it cannot have.",
		"The problem names the field in errors. GET /v1/openapi.json lists the fields of every path."},
	{"token-required", 401, "The server asks for its token, and the request has none or a wrong one.",
		"Open the address that avjepa serve printed, or send the header Authorization: Bearer TOKEN."},
	{"wrong-token", 401, "What was sent to be exchanged for a cookie is not the server's token.",
		"avjepa serve prints the token when it starts; --token or AVJEPA_TOKEN chooses one."},
	{"wrong-host", 403, "The request names a host under which the server does not answer: a page of elsewhere could have had its name point here.",
		"Open it as localhost or 127.0.0.1, or start the server with --host NAME."},
	{"cross-origin", 403, "A page of another server made a request that changes something.",
		"Start the server with --allow-origin and the page's origin to let that page in."},
	{"folder-not-allowed", 403, "The server reads folders and checkpoints of clients over the network only below those that it was told.",
		"Start it with --media DIR, or index the folder on the machine itself."},
	{"not-found", 404, "There is no such page, clip, run, model or job, or there is none any more.",
		"The lists (/v1/clips, /v1/runs, /v1/models, /v1/jobs) have what there is."},
	{"query-gone", 404, "The uploaded file that the search began with is no longer kept.",
		"Send the file again. Queries are kept for 15 minutes."},
	{"no-map", 404, "The library has no clips that could be laid out yet.",
		"Index a folder; the map is made when it is first asked for."},
	{"no-audio", 422, "The clip or file has no sound. Asked for its sound alone, it is a 404.",
		"Search by its picture."},
	{"no-video", 422, "The clip or file has no picture. Asked for its pictures alone, it is a 404.",
		"Search by its sound."},
	{"no-start", 404, "This server was set up without the ways to begin.",
		"avjepa demo makes a model, avjepa index a library."},
	{"no-samples", 404, "The run keeps no samples: it has no held-out clips, has saved no checkpoint yet, or was trained by several processes or an earlier version.",
		"eval.samples says how many clips are sampled beside each checkpoint; GET /v1/runs/{id}/samples without a step has the last."},
	{"method-not-allowed", 405, "The path does not take this method.", "The header Allow lists those that it takes."},
	{"too-slow", 408, "The body came slower than 16 kB a second.", "Try again on a better connection, or with a smaller file."},
	{"other-model", 409, "The library was indexed with another model than the one that is loaded: their vectors cannot be compared.",
		"Index the library again with this model, or start the server with the other."},
	{"source-changed", 409, "The clip's file is not what it was when it was indexed, or is gone.", "Index the folder again."},
	{"read-only", 409, "This library takes on no clips from here.", "Use avjepa index."},
	{"already-started", 409, "A start is under way already.", "Wait for it, or cancel it in the list of jobs."},
	{"model-loaded", 409, "The server has a model already, and never takes it away from the searches under way.",
		"Stop it and start it with --model FILE to use another one."},
	{"file-too-large", 413, "The uploaded file is larger than the server takes.", "Cut it to the part that matters, or start the server with a larger --max-upload-mb."},
	{"not-media", 415, "The first bytes of the file are those of no video, sound or picture.", "MP4, WebM, MOV, MKV, AVI, MPEG, WAV, MP3, FLAC, Ogg, JPEG and PNG work."},
	{"unsupported-media-type", 415, "The body is neither JSON nor a form.", "Send application/json or multipart/form-data."},
	{"empty", 422, "The file is empty.", "Was it sent as a whole?"},
	{"unsupported", 422, "The file is a playlist, a text, or in a format that this ffmpeg cannot decode.", "Convert it to MP4 or WAV."},
	{"too-large", 422, "The file is longer than the server takes, or its pictures are too large.", "Cut it to the part that matters; --max-seconds sets the length."},
	{"corrupt", 422, "Too little of the file can be decoded.", "Does it play elsewhere? Copy it again."},
	{"too-short", 422, "Less than half a second of the file can be decoded.", "Choose a longer one."},
	{"no-media", 422, "There are no videos, sounds or pictures in the folder.", "Choose the folder that has the files; those below it count too."},
	{"folder-too-large", 422, "There are more than a million files in the folder: that is more than a look at it may take.", "Use avjepa ingest and avjepa index, which have no such bound."},
	{"no-explainer", 422, "The model has an encoder for each modality, and no attention between them.", "Models with encoder = \"shared\" have."},
	{"not-a-model", 422, "The file is no checkpoint, or one that cannot be opened.", "avjepa import takes models of other formats."},
	{"start-failed", 422, "A command of the start ended before its work was done; the problem has its last words.", "Mend what they name and start again: it goes on from there."},
	{"queue-full", 429, "As many requests as may wait are waiting.", "Try again after the seconds in Retry-After; --queue sets the number."},
	{"too-many-requests", 429, "More requests came from this address than are answered.", "Wait for the seconds in Retry-After."},
	{"too-many-jobs", 429, "Too many jobs are not done yet.", "Wait for some, or cancel them."},
	{"too-many-streams", 429, "Too many event streams are open.", "Close a page that shows a run."},
	{"canceled", 499, "The request was given up before it was answered.", "Nothing: whoever asked did not wait."},
	{"internal-error", 500, "Something went wrong in the server; its log has it under the id of the request or job.", "Report it with what the log says."},
	{"no-model", 503, "No model is loaded.", "Start the server with --model RUN, or let its first page make one."},
	{"no-library", 503, "No library is loaded.", "Index a folder."},
	{"library-away", 503, "The server that has the library's vectors does not answer, is busy, refuses the key, or has lost them.",
		"Ask again after the seconds in Retry-After, if there are any; else the log of avjepa serve has the reason. AVJEPA_WEAVIATE_KEY is the key."},
	{"no-ffmpeg", 503, "ffmpeg is not installed: files cannot be decoded.", "Install it and start the server again; avjepa doctor names the command."},
	{"preview-pending", 503, "The preview or picture is being made.", "Ask again after the seconds in Retry-After."},
	{"map-pending", 503, "The map is being laid out.", "Ask again after the seconds in Retry-After."},
	{"timeout", 503, "The work took too long. As the outcome of a file it is a 422.", "Try again, or with a shorter file."},
	{"stopping", 503, "The server is about to stop.", "Start it again, or ask the one that takes its place."},
	{"disk-full", 507, "The disk has no room for what came or is made.", "Free some, or give another folder with --cache."},
}
