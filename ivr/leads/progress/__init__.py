"""How far a lead has come: its stage, its lifecycle, its status, and who looks at them."""
