"""The JT/T 808 listener: sessions of terminals of the 2011, 2013 and 2019 editions."""
