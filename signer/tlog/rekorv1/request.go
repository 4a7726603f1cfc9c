// SPDX-License-Identifier: Apache-2.0

package rekorv1

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
)

// withBody reads a request's body and answers it, see writers.Bodies.
func (s *Service) withBody(answer func(w http.ResponseWriter, r *http.Request, body []byte) error) endpoint {
	return func(w http.ResponseWriter, r *http.Request) error {
		body, done, err := s.bodies.Read(w, r)
		if err != nil {
			return fmt.Errorf("read request: %w", err)
		}
		defer done()
		return answer(w, r, body)
	}
}

// readJSON checks a request's JSON as parseJSON does. name is what the schema
// calls the body.
func readJSON(body []byte, name string) (value, error) {
	if len(body) == 0 {
		return value{}, required(name, "body")
	}
	v, err := parseJSON(body)
	if err != nil {
		return value{}, refuse(http.StatusBadRequest, "%v", err)
	}
	if v.kind == isNull {
		return value{}, required(name, "body")
	}
	return v, nil
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
