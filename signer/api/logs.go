// SPDX-License-Identifier: Apache-2.0

package api

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"golang.org/x/sync/semaphore"
)

// Logs is what the API shows of the transparency logs. The engine is a sibling
// of this package, so that the server's main package adapts it. Errors are
// ErrNotFound, ErrBadQuery and those of package signer.
type Logs interface {
	// Logs lists all logs in the order of their creation.
	Logs(ctx context.Context) ([]Log, error)
	// Entry returns an entry of a log and its proof. The id is the entry's index
	// in the log, decimal, or its UUID.
	Entry(ctx context.Context, log, id string) (LogEntry, error)
	// Search finds entries of all logs.
	Search(ctx context.Context, q LogQuery) (LogPage, error)
	// ServeTiles answers a request for a path of a log's tlog-tiles read path:
	// "checkpoint", "tile/0/x001/067". Only an error of which log it is comes
	// back; everything else it has answered.
	ServeTiles(w http.ResponseWriter, r *http.Request, log, path string) error
}

var (
	// ErrNotFound says that there is no such log or entry.
	ErrNotFound = errors.New("not found")
	// ErrBadQuery says that a search cannot be one; its message says what to
	// change.
	ErrBadQuery = errors.New("bad query")
	// ErrChanged says that what was read page by page is another now.
	ErrChanged = errors.New("the list has changed")
)

// Log describes a transparency log.
type Log struct {
	Name   string `json:"name" example:"v1-2"`
	Kind   string `json:"kind" enum:"v1,v2" doc:"API that it speaks: Rekor v1, or Rekor v2 and tlog-tiles"`
	State  string `json:"state" enum:"pending,active,frozen"`
	TreeID string `json:"treeID" doc:"decimal"`
	Origin string `json:"origin" doc:"first line of its checkpoints"`
	LogID  string `json:"logID" doc:"id of its key in bundles and in the trusted root, hex"`
	// FirstIndex is -1 before the log is active.
	FirstIndex int64  `json:"firstIndex" doc:"global index of its first entry, -1 before it is active"`
	Size       int64  `json:"size" doc:"entries"`
	RootHash   string `json:"rootHash" doc:"hex"`
	Checkpoint string `json:"checkpoint" doc:"signed note (C2SP tlog-checkpoint)"`
	PublicKey  []byte `json:"publicKey" doc:"SubjectPublicKeyInfo, DER in base64"`
}

// LogPosition says where an entry is.
type LogPosition struct {
	Log         string `json:"log" doc:"name of the log"`
	Index       int64  `json:"index" doc:"in the log"`
	GlobalIndex int64  `json:"globalIndex" doc:"among all logs of its kind: Rekor's logIndex"`
	UUID        string `json:"uuid" doc:"leaf hash, hex"`
	EntryID     string `json:"entryID" doc:"tree id and UUID, hex: Rekor v1's name of the entry"`
	Kind        string `json:"kind" example:"dsse"`
	APIVersion  string `json:"apiVersion" example:"0.0.1"`
	// IntegratedTime is in Unix seconds.
	IntegratedTime int64 `json:"integratedTime" doc:"when the log took it, Unix seconds; covered by a signature in v1 logs only"`
	// Signers are what the entry's certificates and keys say.
	Signers []LogSigner `json:"signers,omitempty" doc:"whose signatures it has, by the certificates and keys in it; absent for keys of PGP, SSH and minisign"`
}

// LogSigner is who signed an entry.
type LogSigner struct {
	Identity string `json:"identity,omitempty" doc:"name in the certificate"`
	Issuer   string `json:"issuer,omitempty" doc:"issuer of the CI token, in the certificate"`
	Key      string `json:"key,omitempty" doc:"without a certificate: SHA-256 of the SubjectPublicKeyInfo"`
}

// LogEntry is an entry with all that proves it.
type LogEntry struct {
	LogPosition
	Body []byte `json:"body" doc:"the leaf, base64"`
	// SignedEntryTimestamp is the v1 log's signature over body, time, log and
	// global index.
	SignedEntryTimestamp []byte   `json:"signedEntryTimestamp,omitempty" doc:"v1 only: the log's signature over body, time, log id and global index, base64"`
	TreeSize             int64    `json:"treeSize"`
	RootHash             string   `json:"rootHash" doc:"hex"`
	Hashes               []string `json:"hashes" doc:"RFC 6962 audit path, hex"`
	Checkpoint           string   `json:"checkpoint"`
}

// LogQuery asks for entries. Terms are as people write them.
type LogQuery struct {
	Terms  []string
	All    bool   // every term, not any
	After  string // LogPage.Next of the page before
	Limit  int
	Newest bool
}

// LogPage is one page of a search.
type LogPage struct {
	Entries []LogPosition `json:"entries"`
	Next    string        `json:"next,omitempty" doc:"where the next page begins: the value of \"after\"; absent at the end"`
}

const (
	// maxSearches bounds the searches and look-ups under way, which anybody may
	// ask for.
	maxSearches = 16
	// searchTimeout ends a search that the database is too busy for.
	searchTimeout = 15 * time.Second
)

type logsOutput struct {
	Body struct {
		Logs []Log `json:"logs"`
	}
}

func (s *server) listLogs(ctx context.Context, _ *struct{}) (*logsOutput, error) {
	logs, err := s.Logs.Logs(ctx)
	if err != nil {
		return nil, s.problem(ctx, err)
	}
	out := &logsOutput{}
	out.Body.Logs = logs
	return out, nil
}

type logEntryInput struct {
	Name string `path:"name" maxLength:"64"`
	ID   string `path:"id" maxLength:"64" doc:"index in the log, decimal, or UUID, 64 hex digits" example:"42"`
}

type logEntryOutput struct{ Body LogEntry }

func (s *server) logEntry(ctx context.Context, in *logEntryInput) (*logEntryOutput, error) {
	entry, err := s.Logs.Entry(ctx, in.Name, in.ID)
	if err != nil {
		return nil, s.problem(ctx, err)
	}
	return &logEntryOutput{entry}, nil
}

// searchInput bounds what one search looks up (32 terms) and answers (100
// entries, each of which is read and proved).
type searchInput struct {
	Terms  []string `query:"q,explode" required:"true" minItems:"1" maxItems:"32" doc:"what to look for; may be repeated: image:HOST/REPOSITORY, hash:sha256:HEX, email:NAME@HOST, identity:SAN, issuer:URL, repository:URI, commit:HEX, workflow:URI, publickey:HEX" example:"image:registry.corp.example/acme/app"`
	All    bool     `query:"all" doc:"entries that every q finds, instead of any"`
	After  string   `query:"after" maxLength:"128" doc:"\"next\" of the page before"`
	Limit  int      `query:"limit" minimum:"1" maximum:"100" default:"20"`
	Newest bool     `query:"newest" doc:"latest first"`
}

type searchOutput struct{ Body LogPage }

func (s *server) search(ctx context.Context, in *searchInput) (*searchOutput, error) {
	ctx, cancel := context.WithTimeout(ctx, searchTimeout)
	defer cancel()
	page, err := s.Logs.Search(ctx, LogQuery{Terms: in.Terms, All: in.All, After: in.After, Limit: in.Limit, Newest: in.Newest})
	if err != nil {
		return nil, s.problem(ctx, err)
	}
	return &searchOutput{page}, nil
}

// searches is a huma middleware that bounds what anybody may ask for at a time.
func (s *server) searches() func(huma.Context, func(huma.Context)) {
	turns := semaphore.NewWeighted(maxSearches)
	return func(ctx huma.Context, next func(huma.Context)) {
		if err := wait(ctx.Context(), turns, 1); err != nil {
			writeProblem(ctx, s.problem(ctx.Context(), err))
			return
		}
		defer turns.Release(1)
		next(ctx)
	}
}

// registerLogs adds the operations on logs.
func (s *server) registerLogs(api huma.API, mux *http.ServeMux) {
	turns := huma.Middlewares{s.searches()}
	huma.Register(api, huma.Operation{
		OperationID: "logs", Method: http.MethodGet, Path: "/hallmark/v1/logs", Summary: "Transparency logs of this deployment",
		Errors: []int{http.StatusServiceUnavailable}, Middlewares: turns,
	}, s.listLogs)
	huma.Register(api, huma.Operation{
		OperationID: "logEntry", Method: http.MethodGet, Path: "/hallmark/v1/logs/{name}/entries/{id}", Summary: "Entry of a log, with its inclusion proof",
		Errors: []int{http.StatusBadRequest, http.StatusNotFound, http.StatusServiceUnavailable}, Middlewares: turns,
	}, s.logEntry)
	huma.Register(api, huma.Operation{
		OperationID: "search", Method: http.MethodGet, Path: "/hallmark/v1/search", Summary: "Entries of all logs, by what they are about and who made them",
		Errors: []int{http.StatusBadRequest, http.StatusServiceUnavailable, http.StatusGatewayTimeout}, Middlewares: turns,
	}, s.search)
	mux.HandleFunc("/hallmark/v1/logs/{name}/checkpoint", s.serveTiles)
	mux.HandleFunc("/hallmark/v1/logs/{name}/tile/{path...}", s.serveTiles)
	describeTiles(api.OpenAPI())
}

// serveTiles is not huma's: the answers are bytes with caching headers of their
// own, see package tiles.
func (s *server) serveTiles(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	path := strings.TrimPrefix(r.URL.Path, "/hallmark/v1/logs/"+name+"/")
	if err := s.Logs.ServeTiles(w, r, name, path); err != nil {
		answerProblem(w, s.problem(r.Context(), err))
	}
}

// describeTiles puts the read path into the API's description.
func describeTiles(doc *huma.OpenAPI) {
	name := &huma.Param{Name: "name", In: "path", Required: true, Schema: &huma.Schema{Type: huma.TypeString}}
	path := &huma.Param{Name: "path", In: "path", Required: true, Schema: &huma.Schema{Type: huma.TypeString}, Description: "<L>/<N>[.p/<W>] or entries/<N>[.p/<W>]"}
	for _, op := range []*huma.Operation{
		{
			OperationID: "logCheckpoint", Path: "/hallmark/v1/logs/{name}/checkpoint", Summary: "Signed checkpoint of a log (C2SP tlog-checkpoint)",
			Parameters: []*huma.Param{name}, Responses: bytesResponse("text/plain"),
		},
		{
			OperationID: "logTile", Path: "/hallmark/v1/logs/{name}/tile/{path}", Summary: "Tile or entry bundle of a log (C2SP tlog-tiles)",
			Parameters: []*huma.Param{name, path}, Responses: bytesResponse("application/octet-stream"),
		},
	} {
		op.Method = http.MethodGet
		doc.AddOperation(op)
	}
}

func bytesResponse(contentType string) map[string]*huma.Response {
	return map[string]*huma.Response{
		"200": {Description: "OK", Content: map[string]*huma.MediaType{contentType: {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}}},
		"404": {Description: "Beyond the published checkpoint, or no such log"},
	}
}
