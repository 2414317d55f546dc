"""How sure a figure is: draws of patients, closed forms, and where neither can be relied on."""
