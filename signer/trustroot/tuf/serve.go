// SPDX-License-Identifier: Apache-2.0

package tuf

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

const (
	// cacheForever is for what a name says all about: a version, or a hash.
	cacheForever = "public, max-age=31536000, immutable"
	// cacheNever is for the timestamp, and for what does not exist yet: the next
	// root above all.
	cacheNever = "no-store"
)

// The names that a repository has. Nothing else is served, whatever is in the
// folder.
var (
	rootFile    = regexp.MustCompile(`^[1-9][0-9]{0,9}\.root\.json$`)
	versionFile = regexp.MustCompile(`^[1-9][0-9]{0,18}\.(snapshot|targets)\.json$`)
	targetFile  = regexp.MustCompile(`^targets/[0-9a-f]{64}\.[a-z0-9][a-z0-9._-]{0,99}$`)
	targetName  = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,99}$`)
)

// Handler serves the repository in a folder at the URL path prefix, which ends
// with a slash. Files that are not the repository's are 404.
func Handler(dir, prefix string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, found := strings.CutPrefix(r.URL.Path, prefix)
		w.Header().Set("Cache-Control", cacheNever)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		// RawPath is set if the path has escapes where none are needed: a cache in
		// front of us would see another path than we do.
		known := found && r.URL.RawPath == "" && !strings.HasSuffix(name, draftSuffix) &&
			(name == timestampName || rootFile.MatchString(name) || versionFile.MatchString(name) || targetFile.MatchString(name))
		if !known {
			http.Error(w, "not found", http.StatusNotFound)
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "the repository is read with GET and HEAD", http.StatusMethodNotAllowed)
			return
		}
		content, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name))) //nolint:gosec // one of the names above
		if err != nil {
			http.Error(w, "not found", http.StatusNotFound)
			return
		}
		if name != timestampName {
			w.Header().Set("Cache-Control", cacheForever)
		}
		w.Header().Set("Content-Type", contentType(name))
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
	})
}

func contentType(name string) string {
	if strings.HasSuffix(name, ".json") {
		return "application/json"
	}
	return "application/octet-stream"
}
