"""The paper's comparison methods (its section 4.4), behind the same interface as the joint network."""
