// SPDX-License-Identifier: Apache-2.0

package attest

import (
	"encoding/json"
	"strings"
	"time"
)

// OpenVEX 0.2.0 documents. Who may excuse a finding is decided by the
// statement's verified signer, never by the author that stands in the file.
// Source: github.com/openvex/spec/OPENVEX-SPEC.md

const openvexContext = "https://openvex.dev/ns"

// The states of a vulnerability in VEX.
const (
	VEXNotAffected        = "not_affected"
	VEXAffected           = "affected"
	VEXFixed              = "fixed"
	VEXUnderInvestigation = "under_investigation"
)

// VEX is a list of statements about vulnerabilities.
type VEX struct {
	Author     string // as the file says: a label
	Statements []VEXStatement
}

// VEXStatement says what one vulnerability means for some products.
type VEXStatement struct {
	Vulnerability string
	Aliases       []string
	Products      []VEXProduct
	Status        string
	Justification string
	At            time.Time // its own, or the document's; zero if neither says
}

// VEXProduct names a product by its identifiers (purls for all we read), and
// the parts of it that the statement is about; without any it is about all.
type VEXProduct struct {
	IDs           []string
	Subcomponents []string
}

func openvexFormat() format {
	return format{
		name: "openvex", kind: EvidenceVEX, types: []string{openvexContext + "/v0.2.0", openvexContext},
		is: func(top members) bool { return strings.HasPrefix(top.text("@context"), openvexContext) }, read: readOpenVEX,
	}
}

type vexStatementJSON struct {
	Vulnerability struct {
		ID      string `json:"@id"`
		Name    string
		Aliases []string
	}
	Products        json.RawMessage `json:"products"`
	Status          string          `json:"status"`
	Justification   string          `json:"justification"`
	ImpactStatement string          `json:"impact_statement"`
	Timestamp       string          `json:"timestamp"`
}

type vexComponent struct {
	ID          string `json:"@id"`
	Identifiers struct{ PURL string }
}

type vexProductJSON struct {
	vexComponent
	Subcomponents []vexComponent
}

func readOpenVEX(top members) (Evidence, error) {
	var author, timestamp string
	if err := top.into("author", &author); err != nil {
		return Evidence{}, err
	}
	if err := top.into("timestamp", &timestamp); err != nil {
		return Evidence{}, err
	}
	at, err := timeAt("$.timestamp", timestamp)
	if err != nil {
		return Evidence{}, err
	}
	v := &VEX{Author: keep(author)}
	there, err := each("$.statements", top["statements"], func(place string, s vexStatementJSON) error {
		statement, err := s.statement(place, at)
		v.Statements = append(v.Statements, statement)
		return err
	})
	if err == nil && !there {
		err = unreadable("$.statements", "missing: the document says nothing")
	}
	return Evidence{VEX: v}, err
}

func (s vexStatementJSON) statement(place string, documentAt time.Time) (VEXStatement, error) {
	out := VEXStatement{Vulnerability: keep(s.Vulnerability.Name), Status: s.Status, Justification: keep(s.Justification), At: documentAt}
	if out.Vulnerability == "" { // documents before 0.2.0 have an id only
		out.Vulnerability = keep(s.Vulnerability.ID)
	}
	out.Aliases = keepAll(s.Vulnerability.Aliases, out.Vulnerability)
	at, err := timeAt(place+".timestamp", s.Timestamp)
	if err != nil {
		return out, err
	}
	if !at.IsZero() {
		out.At = at
	}
	switch {
	case out.Vulnerability == "":
		return out, unreadable(place+".vulnerability.name", "missing")
	case s.Status == VEXNotAffected && s.Justification == "" && s.ImpactStatement == "":
		return out, unreadable(place+".justification", "not_affected needs a justification or an impact_statement")
	case s.Status != VEXNotAffected && s.Status != VEXAffected && s.Status != VEXFixed && s.Status != VEXUnderInvestigation:
		return out, unreadable(place+".status", "%s, want not_affected, affected, fixed or under_investigation", quote(s.Status))
	}
	_, err = each(place+".products", s.Products, func(place string, p vexProductJSON) error {
		product := VEXProduct{IDs: p.names()}
		if len(product.IDs) == 0 {
			return unreadable(place+".@id", "a product without a name")
		}
		for _, sub := range p.Subcomponents {
			product.Subcomponents = append(product.Subcomponents, sub.names()...)
		}
		if len(p.Subcomponents) > 0 && len(product.Subcomponents) == 0 {
			return unreadable(place+".subcomponents", "subcomponents without a name")
		}
		out.Products = append(out.Products, product)
		return nil
	})
	return out, err
}

func (c vexComponent) names() []string { return keepAll([]string{c.ID, c.Identifiers.PURL}, "") }
