// SPDX-License-Identifier: Apache-2.0

package rekorv1

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
)

// readBody reads a request's JSON and checks it as parseJSON does. name is what
// the schema calls the body.
func (s *Service) readBody(w http.ResponseWriter, r *http.Request, name string) ([]byte, value, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, s.cfg.MaxBody))
	if err != nil {
		return nil, value{}, fmt.Errorf("read request: %w", err)
	}
	if len(body) == 0 {
		return nil, value{}, required(name, "body")
	}
	v, err := parseJSON(body)
	if err != nil {
		return nil, value{}, refuse(http.StatusBadRequest, "%v", err)
	}
	if v.kind == isNull {
		return nil, value{}, required(name, "body")
	}
	return body, v, nil
}

// decode fills out, a generated type, from a document that parseJSON has
// accepted.
func decode(doc []byte, out any) error {
	err := json.Unmarshal(doc, out)
	var wrongType *json.UnmarshalTypeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &wrongType):
		return violation(codeType, "%s in body must be of type %s: %q", wrongType.Field, wrongType.Type, wrongType.Value)
	}
	return schemaError(err)
}

// decimals is the pattern of a tree id in a query.
var decimals = regexp.MustCompile(`^[0-9]+$`)

// queryInt reads an integer of at least least. Without one it returns absent, or
// a violation if absent is negative. Of many the last one counts, as in Rekor.
func queryInt(q url.Values, name string, least, absent int64) (int64, error) {
	raw := ""
	if all := q[name]; len(all) > 0 {
		raw = all[len(all)-1]
	}
	if raw == "" {
		if absent < 0 {
			return 0, required(name, "query")
		}
		return absent, nil
	}
	n, err := strconv.ParseInt(raw, 10, 64)
	if err != nil {
		return 0, violation(codeType, "%s in query must be of type int64: %q", name, raw)
	}
	if n < least {
		return 0, violation(codeMinimum, "%s in query should be greater than or equal to %d", name, least)
	}
	return n, nil
}

// noTree is no tree's id.
const noTree = -1

// queryTree reads a tree id; noTree if there is none.
func queryTree(q url.Values) (int64, error) {
	raw := ""
	if all := q["treeID"]; len(all) > 0 {
		raw = all[len(all)-1]
	}
	if raw == "" {
		return noTree, nil
	}
	if !decimals.MatchString(raw) {
		return 0, violation(codePattern, "treeID in query should match '%s'", decimals)
	}
	tree, err := parseTreeID(raw)
	if err != nil {
		return 0, refuse(http.StatusBadRequest, "%v", err)
	}
	return tree, nil
}
