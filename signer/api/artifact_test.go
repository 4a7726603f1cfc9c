// SPDX-License-Identifier: Apache-2.0

package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"testing"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/signer"
)

const spdx = "https://spdx.dev/Document"

// shelf has receipts, oldest first; their bundles are made when they are read.
type shelf struct {
	service
	receipts []signer.Receipt
	size     int // of each bundle
	broken   int // no receipt with this number can be read
}

func (s *shelf) ReceiptPage(_ context.Context, q signer.ReceiptQuery) ([]signer.ReceiptOutline, error) {
	var page []signer.ReceiptOutline
	for i := len(s.receipts); i > 0 && len(page) < q.Page(); i-- {
		r := s.receipts[i-1]
		if (q.Before == 0 || int64(i) < q.Before) && r.Digest == q.Digest && (len(q.Types) == 0 || slices.Contains(q.Types, r.PredicateType)) {
			page = append(page, signer.ReceiptOutline{Receipt: r, Seq: int64(i), Size: int64(2 * s.size)})
		}
	}
	return page, nil
}

func (s *shelf) Receipt(_ context.Context, id string) (signer.Receipt, error) {
	i, err := strconv.Atoi(id)
	if err != nil || i == s.broken {
		return signer.Receipt{}, errors.New("the database is down")
	}
	r := s.receipts[i-1]
	r.Bundle = make([]byte, s.size)
	copy(r.Bundle, "bundle "+id)
	r.Others = []signer.Attached{{LogIndex: 1, Bundle: make([]byte, s.size)}}
	return r, nil
}

// shelfOf has n receipts about an image, each tenth of them an SBOM.
func shelfOf(n, size int) *shelf {
	s := &shelf{size: size}
	for i := range n {
		kind := "https://example.com/notes"
		if i%10 == 0 {
			kind = spdx
		}
		s.receipts = append(s.receipts, signer.Receipt{ID: fmt.Sprint(i + 1), Digest: theDigest, PredicateType: kind, Rule: `a "bundle":null rule`})
	}
	return s
}

var theDigest = attest.DigestOf([]byte("image"))

type receiptsPage struct {
	Receipts []signer.Receipt `json:"receipts"`
	Next     string           `json:"next"`
}

func (s *shelf) serve(t *testing.T) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(handlerOver(t, s))
	t.Cleanup(server.Close)
	return server
}

// getPage asks for a page.
func getPage(t *testing.T, server *httptest.Server, digest attest.Digest, query url.Values) (int, []byte, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/hallmark/v1/artifacts/"+string(digest)+"?"+query.Encode(), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := server.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }() // read to the end
	raw, err := io.ReadAll(resp.Body)
	return resp.StatusCode, raw, err
}

// all follows the pages.
func all(t *testing.T, server *httptest.Server, query url.Values) (found []signer.Receipt, pages int) {
	t.Helper()
	for {
		status, raw, err := getPage(t, server, theDigest, query)
		var page receiptsPage
		if err != nil || status != http.StatusOK || json.Unmarshal(raw, &page) != nil {
			t.Fatalf("answer %d %.200s, %v", status, raw, err)
		}
		found, pages = append(found, page.Receipts...), pages+1
		if page.Next == "" {
			return found, pages
		}
		query.Set("cursor", page.Next)
	}
}

// TestArtifactPages: pages show each receipt once and whole, newest first.
func TestArtifactPages(t *testing.T) {
	s := shelfOf(130, 100)
	server := s.serve(t)
	for limit, pages := range map[string]int{"": 3, "1": 130, "65": 2, "200": 1} {
		query := url.Values{}
		if limit != "" {
			query.Set("limit", limit)
		}
		found, n := all(t, server, query)
		if len(found) != 130 || n != pages {
			t.Fatalf("limit %q: %d receipts in %d pages", limit, len(found), n)
		}
		for i, r := range found {
			if want, _ := s.Receipt(t.Context(), fmt.Sprint(130-i)); !reflect.DeepEqual(r, want) {
				t.Fatalf("receipt %d:\ngot  %+v\nwant %+v", i, r, want)
			}
		}
	}
	for _, kind := range []string{spdx, "spdx"} {
		if found, n := all(t, server, url.Values{"predicateType": {kind}, "limit": {"4"}}); len(found) != 13 || n != 4 || found[12].ID != "1" {
			t.Errorf("%s: %d receipts in %d pages", kind, len(found), n)
		}
	}
}

// TestArtifactBadInput: a cursor is of one list, and limits are numbers of
// receipts.
func TestArtifactBadInput(t *testing.T) {
	s := shelfOf(30, 10)
	other := attest.DigestOf([]byte("other"))
	s.receipts = append(s.receipts, signer.Receipt{ID: "31", Digest: other}, signer.Receipt{ID: "32", Digest: other})
	server := s.serve(t)
	_, raw, _ := getPage(t, server, other, url.Values{"limit": {"1"}})
	var foreign, own receiptsPage
	if err := json.Unmarshal(raw, &foreign); err != nil || foreign.Next == "" {
		t.Fatal(string(raw), err)
	}
	if _, raw, _ = getPage(t, server, theDigest, url.Values{"limit": {"1"}}); json.Unmarshal(raw, &own) != nil || own.Next == "" {
		t.Fatal(string(raw))
	}
	for name, tc := range map[string]struct {
		query url.Values
		want  int
	}{
		"foreign cursor":         {url.Values{"cursor": {foreign.Next}}, http.StatusBadRequest},
		"cursor of another type": {url.Values{"cursor": {own.Next}, "predicateType": {spdx}}, http.StatusBadRequest},
		"garbage":                {url.Values{"cursor": {"garbage"}}, http.StatusBadRequest},
		"no base64":              {url.Values{"cursor": {"%%%"}}, http.StatusBadRequest},
		"a number":               {url.Values{"cursor": {"1"}}, http.StatusBadRequest},
		"cut":                    {url.Values{"cursor": {own.Next[:len(own.Next)-1]}}, http.StatusBadRequest},
		"longer":                 {url.Values{"cursor": {own.Next + "AA"}}, http.StatusBadRequest},
		"negative":               {url.Values{"limit": {"-1"}}, http.StatusBadRequest},
		"none":                   {url.Values{"limit": {"0"}}, http.StatusBadRequest},
		"too many":               {url.Values{"limit": {"201"}}, http.StatusBadRequest},
		"no number":              {url.Values{"limit": {"x"}}, http.StatusUnprocessableEntity},
		"no type":                {url.Values{"predicateType": {"no such name"}}, http.StatusBadRequest},
		"type without receipts":  {url.Values{"predicateType": {"https://slsa.dev/provenance/v1"}}, http.StatusNotFound},
		"own cursor":             {url.Values{"cursor": {own.Next}}, http.StatusOK},
	} {
		if status, raw, err := getPage(t, server, theDigest, tc.query); status != tc.want || err != nil {
			t.Errorf("%s: answer %d %s, %v, want %d", name, status, raw, err, tc.want)
		}
	}
}

// TestLargeReceiptsAreBounded: an answer about an artifact with 256 large
// receipts has a bounded number of bytes, and the service never holds more than
// one of them for it.
func TestLargeReceiptsAreBounded(t *testing.T) {
	const size = 8 << 20 // and once more for another log
	server := shelfOf(256, size).serve(t)
	inUse := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := inUse()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/hallmark/v1/artifacts/"+string(theDigest)+"?limit=200", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := server.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }() // read to the end
	var total int64
	var most uint64
	for {
		n, err := io.CopyN(io.Discard, resp.Body, 4<<20)
		total += n
		most = max(most, inUse())
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if total < 2*size || total > 48<<20 {
		t.Errorf("the answer has %d bytes", total)
	}
	if held := most - min(before, most); held > 5*size {
		t.Errorf("for receipts of %d MiB the service held %d MiB", 2*size>>20, held>>20)
	}
}

// TestBrokenAnswer: nobody takes half a list for a whole one.
func TestBrokenAnswer(t *testing.T) {
	s := shelfOf(5, 100<<10)
	s.broken = 5 // the first of the answer
	if status, raw, err := getPage(t, s.serve(t), theDigest, nil); status != http.StatusInternalServerError || err != nil {
		t.Errorf("answer %d %s, %v", status, raw, err)
	}
	s.broken = 2
	if status, raw, err := getPage(t, s.serve(t), theDigest, nil); err == nil || status != http.StatusOK || json.Valid(raw) {
		t.Errorf("answer %d of %d bytes, %v", status, len(raw), err)
	}
}
