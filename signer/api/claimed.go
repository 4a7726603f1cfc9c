// SPDX-License-Identifier: Apache-2.0

package api

import (
	"fmt"

	"github.com/hallmark-dev/hallmark/signer"
)

// Claims are what a job says of its build besides what its token proves. It
// becomes part of the service's provenance, marked as claimed.
type Claims struct {
	Dependencies []resourceBody `json:"dependencies,omitempty" maxItems:"256" doc:"What the job says that it has used, marked in the provenance as claimed"`
	Byproducts   []resourceBody `json:"byproducts,omitempty" maxItems:"256" doc:"What the job says that it has made besides, marked in the provenance as claimed"`
}

type resourceBody struct {
	Name   string            `json:"name,omitempty" maxLength:"256"`
	URI    string            `json:"uri,omitempty" maxLength:"1024"`
	Digest map[string]string `json:"digest" doc:"Algorithm to lower-case hex digits"`
}

// members adds those of the claims to the ones that are read.
func (c *Claims) members(all map[string]any) {
	all["dependencies"], all["byproducts"] = &c.Dependencies, &c.Byproducts
}

func (c Claims) claimed() (signer.Claimed, error) {
	var out signer.Claimed
	for _, list := range []struct {
		from []resourceBody
		to   *[]signer.ClaimedResource
	}{{c.Dependencies, &out.Dependencies}, {c.Byproducts, &out.Byproducts}} {
		for _, r := range list.from {
			*list.to = append(*list.to, signer.ClaimedResource(r))
		}
	}
	if err := out.Check(); err != nil {
		return signer.Claimed{}, fmt.Errorf("%w: %w", signer.ErrBadRequest, err)
	}
	return out, nil
}
